//! Templates and header fields.

use http::{HeaderName, HeaderValue, header};

use crate::compile::expand::Context;
use crate::diagnostic::code::Code;
use crate::source::{Span, Spanned};
use crate::value::field::{Field, Layer};
use crate::value::template::Template;

/// A template, unless a field in it has no value in this version.
pub(super) fn available(template: &Spanned<Template>, ctx: &mut Context<'_>) -> Option<Template> {
    let fields = template.value.fields();
    let all = fields.map(|field| known(field, template.span, ctx)).fold(true, |all, one| all & one);
    all.then(|| template.value.clone())
}

/// Whether a field has values in this version; reported where not.
pub(super) fn known(field: &Field, span: Span, ctx: &mut Context<'_>) -> bool {
    let is_known = field.layer() != Layer::Body;
    if !is_known {
        ctx.not_available(span, "buffer bodies").label(format!("`{field}` needs that"));
    }
    is_known
}

/// A header field that may be set: not one that frames messages, and with a value that can be
/// sent.
pub(super) fn header(
    name: &Spanned<HeaderName>,
    value: &Spanned<Template>,
    ctx: &mut Context<'_>,
) -> Option<(HeaderName, Template)> {
    if FRAMING.contains(&name.value) {
        let message = format!("`{}` belongs to one connection and is not set by rules", name.value);
        ctx.error(Code::BadValue, name.span, message)
            .help("take it away; vane frames every message itself");
        return None;
    }
    let literal = value.value.as_literal();
    if literal.is_some_and(|text| HeaderValue::from_str(text).is_err()) {
        ctx.error(
            Code::BadValue,
            value.span,
            "the value of a header field has no control characters",
        );
        return None;
    }
    Some((name.value.clone(), available(value, ctx)?))
}

const FRAMING: &[HeaderName] = &[
    header::CONNECTION,
    header::CONTENT_LENGTH,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
