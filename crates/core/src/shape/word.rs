//! Choices: one of a few words, or one of a few keys.

use super::{
    Decoder,
    decoder::Origin,
    object::{meaningful, quoted, report_unknown_key, shortened, type_mismatch},
};
use crate::{
    diagnostic::code::Code,
    json::{Member, Value, ValueKind},
};

/// Which of the words a string is. A word that is unknown because a variable is unset, where that
/// is tolerated, is the first.
pub(crate) fn decode(value: &Value, words: &[&str], ctx: &mut Decoder<'_>) -> Option<usize> {
    let text = ctx.text(value, &format!("one of {}", quoted(words)))?;
    let found = words.iter().position(|word| *word == text.text);
    if found.is_some() {
        return found;
    }
    if text.origin == Origin::Unset {
        return Some(0);
    }
    if text.origin == Origin::Variables {
        let message = format!("with its variables filled in this is not one of {}", quoted(words));
        ctx.diagnostics().error(Code::BadValue, value.span, message);
        return None;
    }
    let message = format!("`{}` is not one of {}", shortened(&text.text), quoted(words));
    let meant = ctx.nearest(&text.text, words);
    let diagnostic = ctx.diagnostics().error(Code::BadValue, value.span, message);
    if let Some(meant) = meant {
        diagnostic.label(format!("did you mean `{meant}`?"));
    }
    None
}

/// The one member of an object whose key chooses what it is.
pub(crate) fn only_member<'v>(
    value: &'v Value<'v>,
    keys: &[&str],
    ctx: &mut Decoder<'_>,
) -> Option<&'v Member<'v>> {
    let ValueKind::Object(members) = &value.kind else {
        type_mismatch(value, "an object", ctx);
        return None;
    };
    let mut unknown = meaningful(members).filter(|member| !keys.contains(&&*member.key.value));
    if let Some(first) = unknown.next() {
        report_unknown_key(first, keys, ctx);
        unknown.for_each(|member| report_unknown_key(member, keys, ctx));
        return None;
    }
    let mut members = meaningful(members);
    match (members.next(), members.next()) {
        (Some(only), None) => return Some(only),
        (Some(first), Some(second)) => report_second(first, second, keys, ctx),
        (None, _) => {
            let message = format!("expected one of {}", quoted(keys));
            ctx.diagnostics().error(Code::MissingKey, value.span.head(), message);
        }
    }
    None
}

fn report_second(first: &Member, second: &Member, keys: &[&str], ctx: &mut Decoder<'_>) {
    let message = format!("expected exactly one of {}", quoted(keys));
    ctx.diagnostics()
        .error(Code::BadValue, second.key.span, message)
        .secondary(first.key.span, "one is here")
        .help("write two objects in the list, in the order in which they apply");
}
