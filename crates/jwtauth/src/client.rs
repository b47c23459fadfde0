//! How much is stored about the client that starts a session.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The most characters of a `User-Agent` that count.
const MAX_USER_AGENT: usize = 512;

/// Parts of the `User-Agent`, and the browsers and systems that they mean. The first match counts, since Edge also says
/// "Chrome", and Android also says "Linux".
const BROWSERS: [(&str, &str); 8] = [
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
];
const SYSTEMS: [(&str, &str); 7] = [
    ("Windows", "Windows"),
    ("Android", "Android"),
    ("iPhone", "iOS"),
    ("iPad", "iOS"),
    ("Mac OS X", "Mac OS X"),
    ("CrOS", "Chrome OS"),
    ("Linux", "Linux"),
];

/// How much of a client's address, or of its `User-Agent`, is stored: the settings `RECORD_IP_ADDRESS` and
/// `RECORD_USER_AGENT`.
///
/// ```
/// use jwtauth::Recorded;
///
/// let address = "203.0.113.9".parse().unwrap();
/// assert_eq!(Recorded::Full.address(address), Some(address));
/// assert_eq!(Recorded::Truncated.address(address), "203.0.113.0".parse().ok());
/// assert_eq!(Recorded::Off.address(address), None);
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Recorded {
    /// `full`: all of it.
    #[default]
    Full,
    /// `truncated`: the network, or the names of the browser and of the operating system.
    Truncated,
    /// `off`: nothing.
    Off,
}

impl Recorded {
    /// Return the value that a setting means by this name.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "full" => Some(Self::Full),
            "truncated" => Some(Self::Truncated),
            "off" => Some(Self::Off),
            _ => None,
        }
    }

    /// Return the address to store. An IPv4-mapped IPv6 address is stored as the IPv4 address.
    ///
    /// Truncated, it is the network: /24 of IPv4, /48 of IPv6, and /40 of 6to4, whose first 48 bits contain all bits of an
    /// IPv4 address (RFC 3056 §2).
    pub fn address(self, address: IpAddr) -> Option<IpAddr> {
        match (self, address.to_canonical()) {
            (Self::Off, _) => None,
            (Self::Full, address) => Some(address),
            (Self::Truncated, IpAddr::V4(address)) => Some(Ipv4Addr::from_bits(address.to_bits() & (!0 << 8)).into()),
            (Self::Truncated, IpAddr::V6(address)) => {
                let [prefix, ..] = address.segments();
                let length = if prefix == 0x2002 { 40 } else { 48 };
                Some(Ipv6Addr::from_bits(address.to_bits() & (!0 << (128 - length))).into())
            }
        }
    }

    /// Return the text to store for a `User-Agent` header, each of whose bytes is a character of ISO-8859-1, as Django
    /// reads it. The first 512 characters count, without those that are not printable.
    ///
    /// Truncated, it is the names of the browser and of the operating system, a line each. So text with a line break is
    /// never a client's own text.
    pub fn user_agent(self, header: &str) -> String {
        let is_printable = |found: &char| !found.is_control() && !['\u{a0}', '\u{ad}'].contains(found);
        let text: String = header.chars().take(MAX_USER_AGENT).filter(is_printable).collect();
        match self {
            Self::Off => String::new(),
            Self::Full => text,
            Self::Truncated => match (name(&text, &BROWSERS), name(&text, &SYSTEMS)) {
                ("", "") => String::new(),
                (browser, system) => format!("{browser}\n{system}"),
            },
        }
    }
}

fn name(text: &str, names: &[(&str, &'static str)]) -> &'static str {
    names.iter().find(|(part, _)| text.contains(part)).map_or("", |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_characters_and_text_after_512_characters_are_not_stored() {
        assert_eq!(Recorded::Full.user_agent("Evil\r\n\tFirefox/1 ü\u{85}"), "EvilFirefox/1 ü");
        assert_eq!(Recorded::Full.user_agent(&"ü".repeat(600)).chars().count(), 512);
        assert_eq!(Recorded::Truncated.user_agent(&format!("{}Firefox/1", " ".repeat(512))), "");
    }

    #[test]
    fn only_the_names_of_the_settings_are_known() {
        let names = ["full", "truncated", "off", "Full", "", "none"].map(Recorded::from_name);
        assert_eq!(names[..3], [Some(Recorded::Full), Some(Recorded::Truncated), Some(Recorded::Off)]);
        assert_eq!(names[3..], [None; 3]);
    }
}
