//! Keys of certificates, and requests that are signed with them.

use rcgen::{CertificateParams, DistinguishedName, KeyPair, RsaKeySize};
use vane_core::rules::tls::KeyType;
use vane_core::value::host_pattern::HostPattern;
use vane_core::value::secret::Secret;

use crate::acme::failure::OrderFailure;

/// A new key, PEM. Takes seconds for long RSA keys. Blocks.
///
/// # Errors
/// When the system has no random numbers.
pub(super) fn generate(kind: KeyType) -> Result<Secret, OrderFailure> {
    let rsa = |size| KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size);
    let key = match kind {
        KeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyType::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyType::Rsa2048 => rsa(RsaKeySize::_2048),
        KeyType::Rsa4096 => rsa(RsaKeySize::_4096),
    };
    key.map(|key| Secret::new(&key.serialize_pem())).map_err(OrderFailure::ours)
}

/// A request for a certificate for `names`, DER, RFC 8555 §7.4.
///
/// # Errors
/// When the key cannot be used any more.
pub(super) fn signing_request(names: &[HostPattern], key: &str) -> Result<Vec<u8>, OrderFailure> {
    let key = KeyPair::from_pem(key).map_err(OrderFailure::ours)?;
    let bare = |name: &HostPattern| {
        let text = name.to_string();
        text.trim_start_matches('[').trim_end_matches(']').to_owned()
    };
    let names: Vec<_> = names.iter().map(bare).collect();
    let mut params = CertificateParams::new(names).map_err(OrderFailure::ours)?;
    // Names stand in the extension for them alone; authorities refuse or ignore a common name.
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&key).map_err(OrderFailure::ours)?;
    Ok(request.der().to_vec())
}
