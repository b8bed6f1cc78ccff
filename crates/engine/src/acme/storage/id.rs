//! Names of files. Once something is stored under an id, the way to make it stays as it is.

use aws_lc_rs::digest::{Context, SHA256};
use vane_core::rules::tls::{AcmeAccount, KeyType, Managed};

/// What the credentials of an account are found by: its directory, contacts and external account.
pub(crate) fn account(account: &AcmeAccount) -> String {
    let mut digest = Digest::new();
    digest.text(&account.directory);
    digest.list(&contacts(account));
    digest.option(account.binding.as_ref().map(|binding| &*binding.key_id));
    digest.hex(16)
}

/// The contacts of an account, in an order that is not the operator's.
pub(super) fn contacts(account: &AcmeAccount) -> Vec<String> {
    let mut contacts: Vec<_> = account.contact.iter().map(ToString::to_string).collect();
    contacts.sort_unstable();
    contacts
}

/// What a certificate is found by: its names, directory, kind of key and profile. Begins with the
/// first name, for people.
pub(crate) fn certificate(managed: &Managed) -> String {
    let mut names: Vec<_> = managed.names.iter().map(ToString::to_string).collect();
    let readable = names.first().map(|name| file_name(name)).unwrap_or_default();
    names.sort_unstable();
    let mut digest = Digest::new();
    digest.list(&names);
    digest.text(&managed.account.directory);
    digest.text(key_type(managed.key_type));
    digest.option(managed.profile.as_deref());
    format!("{readable}-{}", digest.hex(8))
}

/// A host as part of a file's name, which has at most 255 bytes.
fn file_name(host: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    host.chars().take(200).map(|c| if fits(c) { c } else { '_' }).collect()
}

fn key_type(key_type: KeyType) -> &'static str {
    match key_type {
        KeyType::EcdsaP256 => "ecdsa-p256",
        KeyType::EcdsaP384 => "ecdsa-p384",
        KeyType::Rsa2048 => "rsa-2048",
        KeyType::Rsa4096 => "rsa-4096",
    }
}

/// SHA-256 over parts that cannot run into each other.
struct Digest(Context);

impl Digest {
    fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    fn number(&mut self, number: usize) {
        self.0.update(&(number as u64).to_be_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(text.len());
        self.0.update(text.as_bytes());
    }

    fn list(&mut self, texts: &[String]) {
        self.number(texts.len());
        texts.iter().for_each(|text| self.text(text));
    }

    fn option(&mut self, text: Option<&str>) {
        self.number(usize::from(text.is_some()));
        text.into_iter().for_each(|text| self.text(text));
    }

    fn hex(self, digits: usize) -> String {
        let mut hex = hex(self.0.finish().as_ref());
        hex.truncate(digits);
        hex
    }
}

/// Two digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
