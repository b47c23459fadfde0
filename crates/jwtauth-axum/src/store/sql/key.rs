//! Users' primary keys, as a column's type has them.

use uuid::Uuid;

/// What the column of users' keys holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum KeyKind {
    Integer,
    Uuid,
    Text,
    /// Text of at most some length, in which spaces at the end count for nothing.
    Padded,
}

impl KeyKind {
    /// Return this key as rows have it; `None` where no row can.
    pub(super) fn canonical(self, key: &str) -> Option<String> {
        match self {
            Self::Integer => key.trim().parse::<i64>().ok().map(|number| number.to_string()),
            Self::Uuid => Uuid::parse_str(key.trim()).ok().map(|id| id.hyphenated().to_string()),
            // No text of PostgreSQL has this character.
            Self::Text => (!key.contains('\0')).then(|| key.to_owned()),
            Self::Padded => Self::Text.canonical(key).filter(|key| !key.ends_with(' ')),
        }
    }

    /// Return this key as statements take it; `None` where no row can have it.
    pub(super) fn parameter(self, key: &str) -> Option<String> {
        match self {
            Self::Uuid => Uuid::parse_str(key.trim()).ok().map(id_parameter),
            Self::Integer | Self::Text | Self::Padded => self.canonical(key),
        }
    }

    /// Return the key that statements have read.
    pub(super) fn read(self, key: String) -> String {
        self.canonical(&key).unwrap_or(key)
    }
}

/// Return an id as statements take it: UUIDs are read so, and columns of text have them so.
pub(super) fn id_parameter(id: Uuid) -> String {
    id.simple().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_spellings_are_the_row_s_key_or_none() {
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
