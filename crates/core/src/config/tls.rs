//! TLS of listeners, and certificates that are managed through ACME.

use serde_json::json;

use crate::{
    json::{Value, ValueKind},
    shape::{Decoder, Keyed, OneOrMany, SchemaDefs, Shape, True, keyword, object},
    source::Spanned,
    value::{
        api_url::ApiUrl,
        domain_name::DomainName,
        file_path::FilePath,
        host_pattern::HostPattern,
        name_server::NameServer,
        secret::{Base64Secret, Secret},
        units::Duration,
    },
};

object! {
    /// Terminates TLS, with files or with a managed certificate.
    pub struct Tls {
        /// Certificate chain, PEM; read again on reload and when the file changes.
        optional "cert_file" cert_file: Spanned<FilePath>,
        /// Its key, PEM.
        optional "key_file" key_file: Spanned<FilePath>,
        /// A managed certificate: `true`, or settings over those of `config.json`.
        optional "acme" acme: Spanned<Acme>,
        /// Names that the certificate serves. Default: the exact values of `http.host` and
        /// `tls.sni` in `match`.
        optional "names" names: OneOrMany<Spanned<HostPattern>>,
        /// Whether this certificate is served when no name matches. Default: false, and such a
        /// handshake is refused.
        optional "default" default: Spanned<bool>,
        /// The lowest version that is accepted. Default: `1.2`.
        optional "min_version" min_version: Spanned<TlsVersion>,
        /// Certificates of clients.
        optional "client_auth" client_auth: Spanned<ClientAuth>,
    }
}

keyword! {
    /// Versions of TLS.
    pub enum TlsVersion {
        /// TLS 1.2.
        Tls12 = "1.2",
        /// TLS 1.3.
        Tls13 = "1.3",
    }
}

object! {
    /// How certificates of clients are asked for and verified.
    pub struct ClientAuth {
        /// Whether a client must have one.
        required "mode" mode: Spanned<ClientAuthMode>,
        /// Certificates that clients' chains end in, PEM.
        required "ca_files" ca_files: OneOrMany<Spanned<FilePath>>,
        /// Revocation lists, PEM.
        optional "crl_files" crl_files: OneOrMany<Spanned<FilePath>>,
    }
}

keyword! {
    /// Whether a client must have a certificate.
    pub enum ClientAuthMode {
        /// It is asked for one, and may have none.
        Request = "request",
        /// Without one the handshake fails.
        Require = "require",
    }
}

/// The value of `acme` in `tls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Acme {
    /// `true`: as `config.json` says.
    Default,
    /// Settings of its own, over those of `config.json`.
    Settings(Box<AcmeSettings>),
}

impl Shape for Acme {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        match value.kind {
            ValueKind::Object(_) => Shape::decode(value, ctx).map(Self::Settings),
            _ => True::decode(value, ctx).map(|_| Self::Default),
        }
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        json!({ "anyOf": [True::schema(defs), AcmeSettings::schema(defs)] })
    }
}

object! {
    /// Where certificates come from, RFC 8555.
    pub struct AcmeSettings {
        /// URL of the directory. Default: Let's Encrypt.
        optional "directory" directory: Spanned<String>,
        /// How the authority reaches the operator, such as `mailto:ops@example.com`.
        optional "contact" contact: OneOrMany<Spanned<String>>,
        /// Whether the operator agrees to the terms of the authority.
        optional "agree_tos" agree_tos: Spanned<bool>,
        /// How names are proven.
        optional "challenge" challenge: Spanned<Challenge>,
        /// Where TXT records are put for `dns-01`.
        optional "dns" dns: Spanned<Dns>,
        /// The kind of key. Default: `ecdsa-p256`.
        optional "key_type" key_type: Spanned<KeyType>,
        /// How long before its end a certificate is renewed. Default: as the authority suggests,
        /// else a third of its life.
        optional "renew_before" renew_before: Spanned<Duration>,
        /// The profile of certificate, where the authority has several.
        optional "profile" profile: Spanned<String>,
        /// External account binding.
        optional "eab" eab: Spanned<Eab>,
        /// Certificates that the directory's own TLS is verified with, PEM.
        optional "ca_file" ca_file: Spanned<FilePath>,
    }
}

keyword! {
    /// Ways to prove a name.
    pub enum Challenge {
        /// Over HTTP on port 80.
        Http01 = "http-01",
        /// Over TLS on port 443.
        TlsAlpn01 = "tls-alpn-01",
        /// By a DNS record.
        Dns01 = "dns-01",
    }
}

keyword! {
    /// Kinds of key.
    pub enum KeyType {
        /// NIST P-256.
        EcdsaP256 = "ecdsa-p256",
        /// NIST P-384.
        EcdsaP384 = "ecdsa-p384",
        /// RSA with 2048 bits.
        Rsa2048 = "rsa-2048",
        /// RSA with 4096 bits.
        Rsa4096 = "rsa-4096",
    }
}

object! {
    /// External account binding, RFC 8555 §7.3.4.
    pub struct Eab {
        /// Key identifier.
        required "key_id" key_id: Spanned<String>,
        /// MAC key in base64url; best given as a variable.
        required "hmac_key" hmac_key: Spanned<Secret>,
    }
}

object! {
    /// Where TXT records are put; one of `rfc2136`, `exec` and `cloudflare`.
    pub struct Dns {
        /// A name server, by dynamic update, RFC 2136.
        optional "rfc2136" rfc2136: Keyed<DnsUpdate>,
        /// A program, run as `PROGRAM present|cleanup NAME VALUE`.
        optional "exec" exec: Keyed<FilePath>,
        /// Cloudflare's API.
        optional "cloudflare" cloudflare: Keyed<Cloudflare>,
        /// How long after a record was put the authority is told to look. Default: at once, and
        /// `5s` for `cloudflare`.
        optional "wait" wait: Spanned<Duration>,
    }
}

object! {
    /// A name server that takes dynamic updates over TCP.
    pub struct DnsUpdate short "server" {
        /// The primary server of the zone; port 53 unless written.
        required "server" server: Spanned<NameServer>,
        /// The zone. Default: the one that the server says the name lies in.
        optional "zone" zone: Spanned<DomainName>,
        /// The name of the TSIG key (RFC 8945) that updates are signed with. Default: unsigned.
        optional "key_name" key_name: Spanned<DomainName>,
        /// Its algorithm. Default: `hmac-sha256`.
        optional "key_algorithm" key_algorithm: Spanned<KeyAlgorithm>,
        /// The key in base64; best given as a variable.
        optional "key_secret" key_secret: Spanned<Base64Secret>,
    }
}

keyword! {
    /// Algorithms of TSIG keys.
    pub enum KeyAlgorithm {
        /// HMAC with SHA-256.
        HmacSha256 = "hmac-sha256",
        /// HMAC with SHA-384.
        HmacSha384 = "hmac-sha384",
        /// HMAC with SHA-512.
        HmacSha512 = "hmac-sha512",
    }
}

object! {
    /// Cloudflare's API.
    pub struct Cloudflare short "token" {
        /// A token with the permissions Zone:Read and DNS:Edit; best given as a variable.
        required "token" token: Spanned<Secret>,
        /// Base URL of the API. Default: Cloudflare's.
        optional "api" api: Spanned<ApiUrl>,
    }
}
