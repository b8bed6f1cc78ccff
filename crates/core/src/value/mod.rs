//! Values that cannot be bad: each type parses its written form once and then only holds what it
//! promises.

pub mod api_url;
pub mod cidr;
pub mod domain_name;
pub mod endpoint;
pub mod field;
pub mod file_path;
pub mod host_pattern;
pub mod listen_addr;
pub mod name;
pub mod name_server;
pub mod path;
pub mod path_pattern;
pub mod rate;
pub mod regex;
pub mod secret;
pub mod suggest;
pub mod template;
pub mod units;
pub mod url;

use std::borrow::Cow;

/// An error of one of these types, with the way out apart from what is wrong.
pub trait Explain: std::fmt::Display {
    /// What to write instead, where that is known.
    fn help(&self) -> Option<String>;
}

/// Whether an address is IPv4 in IPv6 clothes, which vane has nowhere: one address, one spelling.
pub(crate) fn is_v4_mapped(address: std::net::IpAddr) -> bool {
    matches!(address, std::net::IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some())
}

/// A number written in digits only: no sign, no leading zero, nothing around it.
pub(crate) fn plain_number<N: std::str::FromStr>(text: &str) -> Option<N> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let canonical = text == "0" || !text.starts_with('0');
    if plain && canonical { text.parse().ok() } else { None }
}

/// A character for a message: as it is, or escaped when it would not be seen.
pub(crate) fn visible(c: char) -> String {
    if c.is_control() { c.escape_default().to_string() } else { c.to_string() }
}

/// A text of the configuration, cut to what a message can carry.
pub(crate) fn shortened(text: &str, characters: usize) -> Cow<'_, str> {
    match text.char_indices().nth(characters) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}

/// Characters of a name or word that a message repeats.
pub(crate) const QUOTED: usize = 60;
