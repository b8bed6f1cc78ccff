//! Predicates to conditions.

use crate::compile::expand::operand::{self, Kind};
use crate::compile::expand::{Context, template};
use crate::config::predicate as written;
use crate::diagnostic::code::Code;
use crate::diagnostic::every;
use crate::rules::Conjunction;
use crate::rules::condition::{Condition, Pattern, Predicate, Test};
use crate::source::Spanned;
use crate::value::field::Field;

/// The alternatives of a `match`: a list, or an `any_of` that stands alone, has one for each
/// item; everything else is one. `deepest` becomes the field of the deepest layer asked about.
pub(super) fn alternatives(
    predicate: &written::Predicate,
    deepest: &mut Option<Spanned<Field>>,
    ctx: &mut Context<'_>,
) -> Option<Vec<Conjunction>> {
    let written = match predicate {
        written::Predicate::AnyOf(inner) => inner.as_slice(),
        other => std::slice::from_ref(other),
    };
    let mut converter = Converter { deepest, ctx };
    every(written.iter().map(|each| converter.conjunction(each)))
}

struct Converter<'a, 'c> {
    deepest: &'a mut Option<Spanned<Field>>,
    ctx: &'a mut Context<'c>,
}

impl Converter<'_, '_> {
    fn conjunction(&mut self, predicate: &written::Predicate) -> Option<Conjunction> {
        let parts = match predicate {
            written::Predicate::AllOf(inner) => inner.as_slice(),
            other => std::slice::from_ref(other),
        };
        let parts = self.every(parts)?;
        let mut conditions = Vec::with_capacity(parts.len());
        parts.into_iter().for_each(|part| flatten(part, &mut conditions));
        Some(Conjunction { conditions })
    }

    fn condition(&mut self, predicate: &written::Predicate) -> Option<Condition> {
        match predicate {
            written::Predicate::Field(asked) => self.field(asked),
            written::Predicate::AllOf(inner) => self.every(inner).map(Condition::All),
            written::Predicate::AnyOf(inner) => self.every(inner).map(Condition::Any),
            written::Predicate::Not(inner) => {
                self.condition(inner).map(|inner| Condition::Not(Box::new(inner)))
            }
        }
    }

    fn every(&mut self, inner: &[written::Predicate]) -> Option<Vec<Condition>> {
        every(inner.iter().map(|each| self.condition(each)))
    }

    fn field(&mut self, asked: &written::FieldPredicate) -> Option<Condition> {
        let field = &asked.field;
        if !template::known(&field.value, field.span, self.ctx) {
            return None;
        }
        let layer = field.value.layer();
        if self.deepest.as_ref().is_none_or(|deepest| deepest.value.layer() < layer) {
            *self.deepest = Some(field.clone());
        }
        match asked.tests.as_slice() {
            [test] => self.test(&field.value, test),
            tests => {
                every(tests.iter().map(|test| self.test(&field.value, test))).map(Condition::All)
            }
        }
    }

    fn test(&mut self, field: &Field, test: &Spanned<written::Test>) -> Option<Condition> {
        let kind = Kind::of(field);
        if let Some(why) = not_applicable(kind, &test.value) {
            let operator = test.value.operator();
            let message = format!("`{operator}` does not apply to `{field}`");
            self.ctx
                .error(Code::OperatorNotApplicable, test.span, message)
                .label(why)
                .help(format!("`{field}` takes {}", kind.operators()));
            return None;
        }
        match &test.value {
            written::Test::OneOf(values) => {
                operand::one_of(kind, values, self.ctx).map(|test| asked(field, test))
            }
            written::Test::NoneOf(values) => {
                let test = operand::one_of(kind, values, self.ctx)?;
                Some(Condition::Not(Box::new(asked(field, test))))
            }
            written::Test::Prefix(values) if kind == Kind::Path => {
                self.any(field, values, operand::path_prefix)
            }
            written::Test::Prefix(values) => self.parts(field, values, Test::Prefix),
            written::Test::Suffix(values) => self.parts(field, values, Test::Suffix),
            written::Test::Contains(values) => self.parts(field, values, Test::Contains),
            written::Test::Regex(values) => {
                self.any(field, values, |regex, _| Some(Test::Regex(Pattern::from(&regex.value))))
            }
            written::Test::Cidr(values) => {
                let networks = values.iter().map(|value| value.value.network()).collect();
                Some(asked(field, Test::Cidr(networks)))
            }
            written::Test::Exists(wanted) => Some(asked(field, Test::Exists(*wanted))),
        }
    }

    fn parts(
        &mut self,
        field: &Field,
        values: &[Spanned<written::Scalar>],
        test: fn(Box<str>) -> Test,
    ) -> Option<Condition> {
        let kind = Kind::of(field);
        self.any(field, values, |value, ctx| operand::part(kind, value, ctx).map(test))
    }

    /// One test, or any of several.
    fn any<T>(
        &mut self,
        field: &Field,
        values: &[Spanned<T>],
        test: impl Fn(&Spanned<T>, &mut Context<'_>) -> Option<Test>,
    ) -> Option<Condition> {
        let mut condition = |value| Some(asked(field, test(value, self.ctx)?));
        match values {
            [value] => condition(value),
            values => every(values.iter().map(condition)).map(Condition::Any),
        }
    }
}

fn asked(field: &Field, test: Test) -> Condition {
    Condition::Test(Predicate { field: field.clone(), test })
}

/// What has to hold anyway needs no brackets.
fn flatten(condition: Condition, into: &mut Vec<Condition>) {
    match condition {
        Condition::All(inner) => inner.into_iter().for_each(|each| flatten(each, into)),
        other => into.push(other),
    }
}

/// Why a field of this kind cannot be asked so.
fn not_applicable(kind: Kind, test: &written::Test) -> Option<&'static str> {
    match (kind, test) {
        (_, written::Test::OneOf(_) | written::Test::NoneOf(_)) => None,
        (Kind::Text { optional: true } | Kind::ServerName, written::Test::Exists(_)) => None,
        (_, written::Test::Exists(_)) => Some("this field is always there"),
        (Kind::Address, written::Test::Cidr(_)) => None,
        (_, written::Test::Cidr(_)) => Some("this asks about addresses"),
        (Kind::Address | Kind::Port | Kind::Word(_) | Kind::Hex, _) => Some("this asks about text"),
        _ => None,
    }
}
