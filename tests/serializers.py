"""Serializers of the test project that replace the package's."""

from datetime import timedelta

from django.contrib.auth import get_user_model
from rest_framework import serializers


class PinSerializer(serializers.Serializer):
    pin = serializers.IntegerField()

    def validate(self, attrs):
        return {"user": get_user_model().objects.get(pk=attrs["pin"])}


class KioskSerializer(PinSerializer):
    def validate(self, attrs):
        return {**super().validate(attrs), "lifetime": timedelta(minutes=20)}


class EmailSerializer(serializers.ModelSerializer):
    class Meta:
        model = get_user_model()
        fields = ("email",)
