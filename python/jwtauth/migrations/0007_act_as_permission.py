from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("jwtauth", "0006_session_authentication"),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="session",
            options={
                "permissions": (("act_as", "Can act as another user"),),
                "verbose_name": "session",
                "verbose_name_plural": "sessions",
            },
        ),
    ]
