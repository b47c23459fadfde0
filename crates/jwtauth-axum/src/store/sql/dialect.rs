use uuid::Uuid;

/// What differs between databases: a few pieces of SQL.
#[derive(Clone, Debug)]
pub(super) struct Dialect {
    /// A time column as Unix seconds, and Unix seconds as a time.
    pub(super) seconds: fn(&str) -> String,
    pub(super) time: fn(&str) -> String,
    /// The database's clock in milliseconds.
    pub(super) now: &'static str,
    /// A parameter as a session's id, as an address; an address column as text.
    pub(super) id: fn(&str) -> String,
    pub(super) address: fn(&str) -> String,
    pub(super) address_text: fn(&str) -> String,
    /// A UUID as text, as the database has it.
    pub(super) uuid_text: fn(Uuid) -> String,
    /// What holds of the ids in a list, the parameter `$1`; and the list of these ids.
    pub(super) is_listed: &'static str,
    pub(super) list: fn(Vec<String>) -> String,
    /// A parameter as a user's key, by its column's type.
    pub(super) user: String,
    /// What has logins of one user wait for each other where there is no table of users, if the database needs it.
    pub(super) lock: Option<&'static str>,
    /// Users' keys are UUIDs that the database keeps as text without hyphens.
    pub(super) has_bare_uuids: bool,
}

impl Dialect {
    /// The user's key, as the database has it.
    pub(super) fn user_key(&self, user_id: &str) -> String {
        match Uuid::parse_str(user_id) {
            Ok(id) if self.has_bare_uuids => id.simple().to_string(),
            _ => user_id.to_owned(),
        }
    }

    /// A list of sessions' ids, as a parameter.
    pub(super) fn ids(&self, ids: &[Uuid]) -> String {
        (self.list)(ids.iter().copied().map(self.uuid_text).collect())
    }

    pub(super) fn user_id(&self, key: String) -> String {
        match Uuid::parse_str(&key) {
            Ok(id) if self.has_bare_uuids => id.hyphenated().to_string(),
            _ => key,
        }
    }
}
