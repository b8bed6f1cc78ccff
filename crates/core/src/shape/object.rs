//! Objects: which keys there are, which are missing, which were probably meant.

use std::borrow::Cow;

use super::{Decoder, Shape};
use crate::{
    diagnostic::code::Code,
    json::{Member, Value, ValueKind},
    source::Span,
    value,
};

/// The members of an object while a type takes them one by one.
pub struct Members<'v> {
    span: Span,
    written: Written<'v>,
    known: &'static [&'static str],
    failed: bool,
}

enum Written<'v> {
    Object(&'v [Member<'v>]),
    /// A bare value that stands for an object with this one key.
    Short(&'static str, &'v Value<'v>),
}

impl<'v> Members<'v> {
    /// Opens an object that may have the keys `known`, and reports the others.
    ///
    /// With `short` a value that is not an object stands for one with only that key.
    pub fn open(
        value: &'v Value<'v>,
        known: &'static [&'static str],
        short: Option<&'static str>,
        ctx: &mut Decoder<'_>,
    ) -> Option<Self> {
        let written = match (&value.kind, short) {
            (ValueKind::Object(members), _) => Written::Object(members),
            (_, Some(key)) => Written::Short(key, value),
            (_, None) => {
                type_mismatch(value, "an object", ctx);
                return None;
            }
        };
        let mut members = Self { span: value.span, written, known, failed: false };
        members.report_unknown(ctx);
        Some(members)
    }

    /// The member under a key that must be there.
    pub fn required<T: Shape>(&mut self, key: &str, ctx: &mut Decoder<'_>) -> Option<T> {
        if self.find(key).is_none() {
            let message = format!("the key `{key}` is missing");
            ctx.diagnostics()
                .error(Code::MissingKey, self.span.head(), message)
                .label("in this object");
            self.failed = true;
            return None;
        }
        self.optional(key, ctx)
    }

    /// The member under a key that may be there.
    pub fn optional<T: Shape>(&mut self, key: &str, ctx: &mut Decoder<'_>) -> Option<T> {
        let (at, value) = self.find(key)?;
        let decoded = T::decode_member(at, value, ctx);
        self.failed |= decoded.is_none();
        decoded
    }

    /// Whether everything so far was as it should be.
    pub fn is_whole(&self) -> bool {
        !self.failed
    }

    fn find(&self, key: &str) -> Option<(Span, &'v Value<'v>)> {
        match self.written {
            Written::Object(members) => members
                .iter()
                .find(|member| member.key.value == key)
                .map(|member| (member.key.span, &member.value)),
            Written::Short(short, value) => (short == key).then_some((value.span, value)),
        }
    }

    fn report_unknown(&mut self, ctx: &mut Decoder<'_>) {
        let Written::Object(members) = self.written else { return };
        for member in members.iter().filter(|member| !is_ignored(&member.key.value)) {
            if self.known.contains(&&*member.key.value) {
                continue;
            }
            self.failed = true;
            report_unknown_key(member, self.known, ctx);
        }
    }
}

/// Members that carry meaning: all but `$schema` and `comment`.
pub(crate) fn meaningful<'v>(members: &'v [Member<'v>]) -> impl Iterator<Item = &'v Member<'v>> {
    members.iter().filter(|member| !is_ignored(&member.key.value))
}

pub(super) fn report_unknown_key(member: &Member, known: &[&str], ctx: &mut Decoder<'_>) {
    let key = &member.key.value;
    let message = format!("`{}` is not a key of this object", shortened(key));
    let meant = ctx.nearest(key, known);
    let diagnostics = ctx.diagnostics();
    let unread = diagnostics.is_full();
    let diagnostic = diagnostics.error(Code::UnknownKey, member.key.span, message);
    match meant {
        Some(meant) => diagnostic.label(format!("did you mean `{meant}`?")),
        None if unread => diagnostic,
        None => diagnostic.help(format!("its keys are {}", quoted(known))),
    };
}

/// Reports that a value has the wrong JSON type.
pub(crate) fn type_mismatch(value: &Value, expected: &str, ctx: &mut Decoder<'_>) {
    let found = value.kind.describe();
    let at = match value.kind {
        ValueKind::Object(_) | ValueKind::Array(_) => value.span.head(),
        _ => value.span,
    };
    let message = format!("expected {expected}, found {found}");
    ctx.diagnostics().error(Code::WrongType, at, message);
}

/// Words in backquotes with commas.
pub(crate) fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ")
}

/// A name or word of the configuration as a message repeats it.
pub(crate) fn shortened(text: &str) -> Cow<'_, str> {
    value::shortened(text, value::QUOTED)
}

fn is_ignored(key: &str) -> bool {
    IGNORED.contains(&key)
}

/// Keys that every object may have and that mean nothing.
pub(super) const IGNORED: [&str; 2] = ["$schema", "comment"];
