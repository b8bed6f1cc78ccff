//! Texts that must not be shown.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Explain;

/// A text that no log, message or form of a graph shows. Not empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret(Box<str>);

impl Secret {
    /// Takes a text as it is.
    pub fn new(text: &str) -> Self {
        Self(text.into())
    }

    /// Takes a text as it is.
    ///
    /// # Errors
    /// When it is empty.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        if text.is_empty() { Err(SecretError) } else { Ok(Self::new(text)) }
    }

    /// The text, for whoever has to use it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// A secret is not empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SecretError;

impl fmt::Display for SecretError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a secret is not empty")
    }
}

impl Explain for SecretError {
    fn help(&self) -> Option<String> {
        Some("set it in `.env` or in the environment, and write `${NAME}` here".to_owned())
    }
}

/// A key in base64, shown as little as any [`Secret`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Base64Secret(Secret);

impl Base64Secret {
    /// Parses standard base64 with its padding.
    ///
    /// # Errors
    /// When it is empty or something else; never repeats it.
    pub fn parse(text: &str) -> Result<Self, Base64SecretError> {
        match STANDARD.decode(text) {
            Ok(bytes) if !bytes.is_empty() => Ok(Self(Secret::new(text))),
            _ => Err(Base64SecretError),
        }
    }

    /// The key, still in base64.
    pub fn secret(&self) -> &Secret {
        &self.0
    }
}

/// A text is not base64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Base64SecretError;

impl fmt::Display for Base64SecretError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the key is not base64")
    }
}

impl Explain for Base64SecretError {
    fn help(&self) -> Option<String> {
        Some("write it with the `=` at its end, as the name server has it".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        let secret = Secret::parse("hunter2").unwrap();
        assert_eq!((format!("{secret:?}").as_str(), secret.expose()), ("Secret", "hunter2"));
        assert_eq!(Secret::parse(""), Err(SecretError));
    }

    #[test]
    fn a_key_is_base64_with_its_padding() {
        assert_eq!(Base64Secret::parse("aHVudGVyMg==").unwrap().secret().expose(), "aHVudGVyMg==");
        for text in ["", "hunter2!", "aHVudGVyMg", "aHVudGVyMg==\n"] {
            assert_eq!(Base64Secret::parse(text), Err(Base64SecretError), "{text:?}");
        }
    }
}
