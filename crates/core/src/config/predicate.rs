//! Predicates as they are written in `match`.

use std::borrow::Cow;

use serde_json::{Map as JsonMap, json};

use crate::{
    diagnostic::{code::Code, every},
    json::{Member, Value, ValueKind},
    shape::{
        Decoder, OneOrMany, Origin, SchemaDefs, Shape, meaningful, quoted, shortened, type_mismatch,
    },
    source::Spanned,
    value::{Explain, cidr::Cidr, field::Field, regex::Regex, suggest},
};

/// A condition on traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicate {
    /// A question about one field.
    Field(FieldPredicate),
    /// All of these hold; an empty list always does.
    AllOf(Vec<Predicate>),
    /// At least one of these holds; never empty.
    AnyOf(Vec<Predicate>),
    /// This does not hold.
    Not(Box<Predicate>),
}

/// A field and what is asked of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldPredicate {
    /// The field, at the place of its name.
    pub field: Spanned<Field>,
    /// Tests that all hold; at least one. A test is at the place of its operator, or of its value
    /// where no operator is written.
    pub tests: Vec<Spanned<Test>>,
}

/// A test of a field. Lists are never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Test {
    /// Equals one of these: `equals`, `one_of`, a bare value or a bare list.
    OneOf(Vec<Spanned<Scalar>>),
    /// Equals none of these: `not_equals`.
    NoneOf(Vec<Spanned<Scalar>>),
    /// Starts with one of these.
    Prefix(Vec<Spanned<Scalar>>),
    /// Ends with one of these.
    Suffix(Vec<Spanned<Scalar>>),
    /// Has one of these in it.
    Contains(Vec<Spanned<Scalar>>),
    /// One of these finds something.
    Regex(Vec<Spanned<Regex>>),
    /// Is in one of these networks.
    Cidr(Vec<Spanned<Cidr>>),
    /// Is there at all, or is not.
    Exists(bool),
}

impl Test {
    /// The operator, as it would be written.
    pub fn operator(&self) -> &'static str {
        match self {
            Self::OneOf(values) if values.len() == 1 => "equals",
            Self::OneOf(_) => "one_of",
            Self::NoneOf(_) => "not_equals",
            Self::Prefix(_) => "prefix",
            Self::Suffix(_) => "suffix",
            Self::Contains(_) => "contains",
            Self::Regex(_) => "regex",
            Self::Cidr(_) => "cidr",
            Self::Exists(_) => "exists",
        }
    }
}

/// A value that a field is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scalar {
    /// A string, variables filled in.
    Text(String),
    /// A whole number.
    Number(i64),
    /// A boolean.
    Bool(bool),
    /// A string whose variable is unset, where that is tolerated. It fits every field and
    /// deserves no further complaint.
    Unset,
}

impl Shape for Predicate {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        match &value.kind {
            ValueKind::Object(members) => all_members(members, ctx),
            ValueKind::Array(_) => any_of(value, ctx),
            _ => {
                type_mismatch(value, "an object of fields or a list of such", ctx);
                None
            }
        }
    }

    fn schema(defs: &mut SchemaDefs) -> serde_json::Value {
        defs.named("Predicate", describe)
    }
}

impl Shape for Scalar {
    fn decode(value: &Value, ctx: &mut Decoder<'_>) -> Option<Self> {
        match &value.kind {
            ValueKind::Bool(value) => Some(Self::Bool(*value)),
            ValueKind::Number(number) => whole_number(number, value, ctx),
            _ => {
                let text = ctx.text(value, "a string, a whole number or a boolean")?;
                Some(match text.origin {
                    Origin::Unset => Self::Unset,
                    _ => Self::Text(text.text.into_owned()),
                })
            }
        }
    }

    fn schema(_: &mut SchemaDefs) -> serde_json::Value {
        json!({ "type": ["string", "integer", "boolean"] })
    }
}

fn whole_number(number: &str, value: &Value, ctx: &mut Decoder<'_>) -> Option<Scalar> {
    let parsed = number.parse().ok().map(Scalar::Number);
    if parsed.is_none() {
        ctx.diagnostics()
            .error(Code::BadValue, value.span, "fields are compared with whole numbers only")
            .help("write it in quotes to compare it as text");
    }
    parsed
}

fn all_members(members: &[Member], ctx: &mut Decoder<'_>) -> Option<Predicate> {
    let mut parts = every(meaningful(members).map(|member| one_member(member, ctx)))?;
    Some(match parts.len() {
        1 => parts.remove(0),
        _ => Predicate::AllOf(parts),
    })
}

fn one_member(member: &Member, ctx: &mut Decoder<'_>) -> Option<Predicate> {
    match &*member.key.value {
        ANY_OF => any_of(&member.value, ctx),
        ALL_OF => list(&member.value, ctx).map(Predicate::AllOf),
        NOT => Shape::decode(&member.value, ctx).map(Predicate::Not),
        _ => {
            let field = field(&member.key, ctx);
            if field.is_none() && combinator(&member.key).is_some() {
                return None;
            }
            let tests = tests(&member.value, ctx);
            Some(Predicate::Field(FieldPredicate { field: field?, tests: tests? }))
        }
    }
}

fn any_of(value: &Value, ctx: &mut Decoder<'_>) -> Option<Predicate> {
    list(value, ctx).map(Predicate::AnyOf)
}

fn list(value: &Value, ctx: &mut Decoder<'_>) -> Option<Vec<Predicate>> {
    if !matches!(value.kind, ValueKind::Array(_)) {
        type_mismatch(value, "a list of objects", ctx);
        return None;
    }
    OneOrMany::decode(value, ctx).map(OneOrMany::into_items)
}

fn field(key: &Spanned<Cow<'_, str>>, ctx: &mut Decoder<'_>) -> Option<Spanned<Field>> {
    let (suggestion, help) = match Field::parse(&key.value) {
        Ok(field) if field.is_matchable() => return Some(Spanned::new(field, key.span)),
        Ok(_) => (None, None),
        Err(unknown) => (unknown.suggestion.clone().or_else(|| combinator(key)), unknown.help()),
    };
    let message = format!("`{}` is not a field that can be matched", shortened(&key.value));
    let diagnostic = ctx.diagnostics().error(Code::UnknownField, key.span, message);
    match suggestion {
        Some(meant) => diagnostic.label(format!("did you mean `{meant}`?")),
        None => diagnostic,
    };
    let help = help.filter(|help| help.contains("the last dot"));
    diagnostic.help(help.unwrap_or_else(|| FIELDS.to_owned()));
    None
}

/// The word that joins predicates and was probably meant.
fn combinator(key: &Spanned<Cow<'_, str>>) -> Option<String> {
    suggest::nearest(&key.value, [ANY_OF, ALL_OF, NOT]).map(str::to_owned)
}

fn tests(value: &Value, ctx: &mut Decoder<'_>) -> Option<Vec<Spanned<Test>>> {
    let ValueKind::Object(members) = &value.kind else {
        let values = OneOrMany::decode(value, ctx)?.into_items();
        return Some(vec![Spanned::new(Test::OneOf(values), value.span)]);
    };
    let tests = every(
        meaningful(members)
            .map(|member| Some(Spanned::new(operator(member, ctx)?, member.key.span))),
    )?;
    if tests.is_empty() {
        let message = format!("expected one of {}", quoted(OPERATORS));
        ctx.diagnostics().error(Code::MissingKey, value.span.head(), message);
        return None;
    }
    Some(tests)
}

fn operator(member: &Member, ctx: &mut Decoder<'_>) -> Option<Test> {
    let value = &member.value;
    match &*member.key.value {
        "equals" | "one_of" => many(value, ctx).map(Test::OneOf),
        "not_equals" => many(value, ctx).map(Test::NoneOf),
        "prefix" => many(value, ctx).map(Test::Prefix),
        "suffix" => many(value, ctx).map(Test::Suffix),
        "contains" => many(value, ctx).map(Test::Contains),
        "regex" => many(value, ctx).map(Test::Regex),
        "cidr" => many(value, ctx).map(Test::Cidr),
        "exists" => bool::decode(value, ctx).map(Test::Exists),
        unknown => {
            report_unknown_operator(unknown, member, ctx);
            None
        }
    }
}

fn many<T: Shape>(value: &Value, ctx: &mut Decoder<'_>) -> Option<Vec<Spanned<T>>> {
    OneOrMany::decode(value, ctx).map(OneOrMany::into_items)
}

fn report_unknown_operator(unknown: &str, member: &Member, ctx: &mut Decoder<'_>) {
    let message = format!("`{}` is not an operator", shortened(unknown));
    let meant = ctx.nearest(unknown, OPERATORS);
    let diagnostic = ctx.diagnostics().error(Code::UnknownOperator, member.key.span, message);
    if let Some(meant) = meant {
        diagnostic.label(format!("did you mean `{meant}`?"));
    }
    diagnostic.help(format!("operators are {}", quoted(OPERATORS)));
}

fn describe(defs: &mut SchemaDefs) -> serde_json::Value {
    let predicate = json!({ "$ref": "#/$defs/Predicate" });
    let list = json!({ "type": "array", "items": predicate, "minItems": 1 });
    let test = defs.named("Test", describe_test);
    let mut properties = JsonMap::new();
    properties.insert(ANY_OF.to_owned(), list.clone());
    properties.insert(ALL_OF.to_owned(), list.clone());
    properties.insert(NOT.to_owned(), predicate);
    properties.insert("$schema".to_owned(), json!({ "type": "string" }));
    properties.insert("comment".to_owned(), true.into());
    for doc in Field::table().filter(|doc| Field::parse(doc.name).is_ok_and(|f| f.is_matchable())) {
        let mut described = test.clone();
        described["description"] = doc.doc.into();
        properties.insert(doc.name.to_owned(), described);
    }
    json!({
        "description": "Predicates on fields: an object is all of its fields, a list is any of its objects.",
        "anyOf": [
            {
                "type": "object",
                "properties": properties,
                "patternProperties": { r"^http\.(query|header|cookie)\..+$": test },
                "additionalProperties": false
            },
            list
        ]
    })
}

fn describe_test(defs: &mut SchemaDefs) -> serde_json::Value {
    let values = OneOrMany::<Scalar>::schema(defs);
    let regexes = OneOrMany::<Regex>::schema(defs);
    let networks = OneOrMany::<Cidr>::schema(defs);
    let mut operators = JsonMap::new();
    for &operator in OPERATORS {
        let operand = match operator {
            "regex" => regexes.clone(),
            "cidr" => networks.clone(),
            "exists" => bool::schema(defs),
            _ => values.clone(),
        };
        operators.insert(operator.to_owned(), operand);
    }
    operators.insert("$schema".to_owned(), json!({ "type": "string" }));
    operators.insert("comment".to_owned(), true.into());
    let object = json!({
        "type": "object",
        "properties": operators,
        "minProperties": 1,
        "additionalProperties": false
    });
    json!({
        "description": "A value means equals, a list means one of, an object names operators that all hold.",
        "anyOf": [values, object]
    })
}

const FIELDS: &str = "fields that can be matched are listed by `vane fields`";
const ANY_OF: &str = "any_of";
const ALL_OF: &str = "all_of";
const NOT: &str = "not";
const OPERATORS: &[&str] =
    &["equals", "not_equals", "one_of", "prefix", "suffix", "contains", "regex", "cidr", "exists"];
