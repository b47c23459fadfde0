use jwtauth::AuthHasher;

/// Django's table of users, which says whether the user of a session may still be signed in: whether they are active,
/// and have the password that they had at login.
#[derive(Clone, Debug)]
pub struct DjangoUsers {
    pub(super) hasher: AuthHasher,
    pub(super) table: String,
    pub(super) key: String,
}

impl DjangoUsers {
    /// Ask `auth_user`, with the hasher of [`Settings::auth_hasher`](crate::Settings::auth_hasher).
    pub fn new(hasher: AuthHasher) -> Self {
        Self { hasher, table: "auth_user".to_owned(), key: "id".to_owned() }
    }

    /// Ask the table of another user model, by its primary key's column. Both are names, which are quoted.
    #[must_use]
    pub fn with_table(mut self, table: &str, key: &str) -> Self {
        (self.table, self.key) = (table.to_owned(), key.to_owned());
        self
    }
}
