use jwtauth::AuthHasher;

/// Django's users' table. It decides whether the user of a session may still be signed in: the user must be active and
/// have the same password as at login.
#[derive(Clone, Debug)]
pub struct DjangoUsers {
    pub(super) hasher: AuthHasher,
    pub(super) table: String,
    pub(super) key: String,
}

impl DjangoUsers {
    /// Use the table `auth_user`, with the hasher of [`Settings::auth_hasher`](crate::Settings::auth_hasher).
    pub fn new(hasher: AuthHasher) -> Self {
        Self { hasher, table: "auth_user".to_owned(), key: "id".to_owned() }
    }

    /// Use the table of another user model, with its primary key's column. Both names are quoted.
    #[must_use]
    pub fn with_table(mut self, table: &str, key: &str) -> Self {
        (self.table, self.key) = (table.to_owned(), key.to_owned());
        self
    }
}
