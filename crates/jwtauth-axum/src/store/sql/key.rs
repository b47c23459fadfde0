//! Users' primary keys, in the form of their column's type.

use uuid::Uuid;

/// The type of the column of users' keys.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeyKind {
    Integer,
    Uuid,
    Text,
    /// Text of limited length, with insignificant trailing spaces.
    Padded,
}

impl KeyKind {
    /// Return this key as rows store it, or `None` if no row can have it.
    pub(super) fn canonical(self, key: &str) -> Option<String> {
        match self {
            Self::Integer => key.trim().parse::<i64>().ok().map(|number| number.to_string()),
            Self::Uuid => Uuid::parse_str(key.trim()).ok().map(|id| id.hyphenated().to_string()),
            // Text in PostgreSQL cannot contain this character.
            Self::Text => (!key.contains('\0')).then(|| key.to_owned()),
            Self::Padded => Self::Text.canonical(key).filter(|key| !key.ends_with(' ')),
        }
    }

    /// Return this key as a statement's parameter, or `None` if no row can have it.
    pub(super) fn parameter(self, key: &str) -> Option<String> {
        match self {
            Self::Uuid => Uuid::parse_str(key.trim()).ok().map(id_parameter),
            Self::Integer | Self::Text | Self::Padded => self.canonical(key),
        }
    }

    /// Return a key read from a row in canonical form.
    pub(super) fn read(self, key: String) -> String {
        self.canonical(&key).unwrap_or(key)
    }
}

/// Return an id as a statement's parameter: the form in which text columns store UUIDs, and which UUID columns accept.
pub(super) fn id_parameter(id: Uuid) -> String {
    id.simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_of_a_key_are_canonical_or_rejected() {
        for (kind, key, canonical) in [
            (KeyKind::Integer, "42", Some("42")),
            (KeyKind::Integer, "042", Some("42")),
            (KeyKind::Integer, "+42", Some("42")),
            (KeyKind::Integer, " 42\n", Some("42")),
            (KeyKind::Integer, "-0", Some("0")),
            (KeyKind::Integer, "42.0", None),
            (KeyKind::Integer, "42abc", None),
            (KeyKind::Integer, "", None),
            (KeyKind::Integer, "9223372036854775808", None),
            (KeyKind::Uuid, "018F3B2C-7A00-7000-8000-000000000001", Some("018f3b2c-7a00-7000-8000-000000000001")),
            (KeyKind::Uuid, "{018f3b2c7a0070008000000000000001}", None),
            (KeyKind::Uuid, "{018f3b2c-7a00-7000-8000-000000000001}", Some("018f3b2c-7a00-7000-8000-000000000001")),
            (KeyKind::Uuid, "018f3b2c7a0070008000000000000001", Some("018f3b2c-7a00-7000-8000-000000000001")),
            (KeyKind::Uuid, "42", None),
            (KeyKind::Text, " 042 ", Some(" 042 ")),
            (KeyKind::Text, "4\x002", None),
            (KeyKind::Padded, " 042", Some(" 042")),
            (KeyKind::Padded, "042 ", None),
            (KeyKind::Padded, "4\x002", None),
        ] {
            assert_eq!(kind.canonical(key).as_deref(), canonical, "{kind:?} {key:?}");
        }
    }
}
