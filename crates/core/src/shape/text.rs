//! Strings that mean something: the values of `value` as shapes.

use std::borrow::Cow;

use http::HeaderName;
use serde_json::json;

use super::{
    Decoder, SchemaDefs, Shape,
    decoder::{Origin, Text},
    object::shortened,
};
use crate::{
    diagnostic::{Diagnostic, code::Code},
    json::{Value, ValueKind},
    source::{Span, Spanned},
    value::{
        self, Explain,
        api_url::ApiUrl,
        cidr::Cidr,
        domain_name::DomainName,
        endpoint::Endpoint,
        field::Field,
        file_path::FilePath,
        host_pattern::HostPattern,
        listen_addr::ListenAddr,
        name::Name,
        name_server::NameServer,
        path_pattern::PathPattern,
        rate::Rate,
        regex::Regex,
        secret::{Base64Secret, Secret},
        template::Template,
        units::{ByteSize, Duration},
        url::UpstreamUrl,
    },
};

/// A value that is written as a string.
pub trait TextValue: Sized {
    /// What it is, with its article.
    const WHAT: &'static str;
    /// The code of problems with it.
    const CODE: Code;
    /// A good value, used where a variable is unset and that is tolerated; also the example in
    /// the schema.
    const SAMPLE: &'static str;
    /// A regular expression that good values match, without anchors.
    const PATTERN: Option<&'static str>;

    /// Parses the text.
    fn parse_text(text: &str) -> Result<Self, Box<dyn Explain>>;
}

/// Decodes a string value into `T`; what every [`TextValue`] does as a [`Shape`].
pub(super) fn decode_text<T: TextValue>(value: &Value, ctx: &mut Decoder<'_>) -> Option<T> {
    if let (ValueKind::Number(number), Code::BadUnit) = (&value.kind, T::CODE) {
        report_bare_number::<T>(number, value.span, ctx);
        return None;
    }
    ctx.text(value, T::WHAT)?.parse(value, ctx)
}

impl Text<'_> {
    /// Parses the text, reporting at `value`, where it was written, what is wrong with it.
    pub fn parse<T: TextValue>(&self, value: &Value, ctx: &mut Decoder<'_>) -> Option<T> {
        match (T::parse_text(&self.text), self.origin) {
            (Ok(parsed), _) => return Some(parsed),
            (Err(_), Origin::Unset) => return T::parse_text(T::SAMPLE).ok(),
            (Err(error), Origin::Written) => report(T::CODE, value.span, &*error, ctx),
            (Err(_), Origin::Variables) => {
                let message = format!("with its variables filled in this is not {}", T::WHAT);
                ctx.diagnostics()
                    .error(T::CODE, value.span, message)
                    .help(format!("a good value looks like `{}`", T::SAMPLE));
            }
        }
        None
    }
}

/// Parses the key of a map; variables are not filled into keys.
pub(super) fn parse_key<T: TextValue>(
    key: &Spanned<Cow<'_, str>>,
    ctx: &mut Decoder<'_>,
) -> Option<Spanned<T>> {
    match T::parse_text(&key.value) {
        Ok(parsed) => Some(Spanned::new(parsed, key.span)),
        Err(error) => {
            report(T::CODE, key.span, &*error, ctx);
            None
        }
    }
}

/// Reports an error of a value type under its code.
fn report(code: Code, at: Span, error: &dyn Explain, ctx: &mut Decoder<'_>) {
    let diagnostic =
        ctx.diagnostics().error(code, at, value::shortened(&error.to_string(), REPEATED));
    if let Some(help) = error.help() {
        place_help(diagnostic, value::shortened(&help, REPEATED).into_owned());
    }
}

/// A suggestion stands under the mark, where the eye is; other help below.
fn place_help(diagnostic: &mut Diagnostic, help: String) {
    match help.starts_with("did you mean") {
        true => diagnostic.label(help),
        false => diagnostic.help(help),
    };
}

fn report_bare_number<T: TextValue>(number: &str, at: Span, ctx: &mut Decoder<'_>) {
    let message = format!("{} is written as a string with its unit", T::WHAT);
    let unit = T::SAMPLE.trim_start_matches(|c: char| c.is_ascii_digit());
    let meant = format!("{}{unit}", shortened(number));
    let is_good = T::parse_text(&meant).is_ok();
    let help = if is_good { meant } else { T::SAMPLE.to_owned() };
    ctx.diagnostics()
        .error(T::CODE, at, message)
        .help(format!("write `\"{help}\"`, or with the unit that is meant"));
}

fn text_schema<T: TextValue>() -> serde_json::Value {
    let mut schema = json!({ "type": "string", "examples": [T::SAMPLE] });
    if let Some(pattern) = T::PATTERN {
        // A variable can stand for all or part of the value.
        schema["pattern"] = format!(r"^{pattern}$|\$\{{").into();
    }
    schema
}

macro_rules! text_values {
    ($($type:ty: $what:literal, $code:ident, $sample:literal, $pattern:expr;)*) => {$(
        impl TextValue for $type {
            const WHAT: &'static str = $what;
            const CODE: Code = Code::$code;
            const SAMPLE: &'static str = $sample;
            const PATTERN: Option<&'static str> = $pattern;

            fn parse_text(text: &str) -> Result<Self, Box<dyn Explain>> {
                Self::parse(text).map_err(|error| Box::new(error) as Box<dyn Explain>)
            }
        }

        impl Shape for $type {
            fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
                decode_text(value, ctx)
            }

            fn schema(_: &mut SchemaDefs) -> serde_json::Value {
                text_schema::<Self>()
            }
        }
    )*};
}

text_values! {
    Duration: "a duration", BadUnit, "30s", Some("[1-9][0-9]*(ms|s|m|h|d)");
    ByteSize: "a size", BadUnit, "8MiB", Some("(0|[1-9][0-9]*)([KMGT]i)?B");
    Rate: "a rate", BadUnit, "50/s", Some("[1-9][0-9]*/[smh]");
    ListenAddr: "a listen address", BadListenAddress, ":443", Some(r"((tcp|udp)/)?[0-9a-fA-F:.\[\]]*:[0-9]+");
    HostPattern: "a host name", BadHostPattern, "example.com", Some(r"(\*\.)?[A-Za-z0-9_.:\[\]-]+");
    Name: "a name", BadName, "app", Some("[A-Za-z0-9._-]+");
    Endpoint: "the address of a server", BadUrl, "10.0.0.1:5432", Some("(unix:/.+|.+:[0-9]+)");
    UpstreamUrl: "the URL of a server", BadUrl, "http://10.0.0.1:8080", Some("((http|https|h2c)://.+|unix:/.+)");
    Template: "a template", BadTemplate, "{http.host}", None;
    Field: "the name of a field", UnknownField, "remote.ip", Some("[a-z0-9_]+(\\..+)*");
    Regex: "a regular expression", BadRegex, "^/v[0-9]+/", None;
    Cidr: "an address or network", BadValue, "10.0.0.0/8", Some("[0-9a-fA-F:.]+(/[0-9]+)?");
    PathPattern: "an absolute path", BadPathPattern, "/v1", Some("/[^?#]*");
    DomainName: "a domain name", BadName, "example.com", Some(r"[A-Za-z0-9/_.-]+");
    NameServer: "the address of a name server", BadUrl, "10.0.0.1:53", Some("(unix:/.+|[^:]+(:[0-9]+)?|\\[[0-9a-fA-F:]+\\](:[0-9]+)?)");
    ApiUrl: "the base URL of an API", BadUrl, "https://api.example.com/v4", Some("https?://[^?#]+");
    Secret: "a secret", BadValue, "secret", None;
    Base64Secret: "a key in base64", BadValue, "c2VjcmV0", Some("[A-Za-z0-9+/]+={0,2}");
    FilePath: "the path of a file", BadValue, "/etc/ssl/site.pem", Some("(?s:.+)");
}

impl TextValue for HeaderName {
    const WHAT: &'static str = "the name of a header field";
    const CODE: Code = Code::BadValue;
    const SAMPLE: &'static str = "X-Request-Id";
    const PATTERN: Option<&'static str> = Some("[!#$%&'*+.^_`|~0-9A-Za-z-]+");

    fn parse_text(text: &str) -> Result<Self, Box<dyn Explain>> {
        Self::from_bytes(text.as_bytes()).map_err(|_| Box::new(NotAHeader) as Box<dyn Explain>)
    }
}

impl Shape for HeaderName {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        decode_text(value, ctx)
    }

    fn schema(_: &mut SchemaDefs) -> serde_json::Value {
        text_schema::<Self>()
    }
}

/// Any text as a key of the operator's choice.
impl TextValue for String {
    const WHAT: &'static str = "a string";
    const CODE: Code = Code::BadValue;
    const SAMPLE: &'static str = "text";
    const PATTERN: Option<&'static str> = None;

    fn parse_text(text: &str) -> Result<Self, Box<dyn Explain>> {
        Ok(text.to_owned())
    }
}

struct NotAHeader;

impl std::fmt::Display for NotAHeader {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("this is not the name of a header field")
    }
}

impl Explain for NotAHeader {
    fn help(&self) -> Option<String> {
        Some("names of header fields are tokens by RFC 9110, such as `X-Request-Id`".to_owned())
    }
}

/// Characters of an error and its help, which repeat what was written.
const REPEATED: usize = 300;
