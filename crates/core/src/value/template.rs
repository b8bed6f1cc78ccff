//! Texts with fields in them, such as `https://{http.host}{http.uri}`.

use std::fmt;

use super::{
    Explain,
    field::{Field, UnknownField},
};

/// A text whose `{field}` parts are filled in at run time. `{{` and `}}` are literal braces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Template {
    segments: Vec<Segment>,
}

/// A part of a template. Literals are never empty and never follow one another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Text as it is.
    Literal(Box<str>),
    /// The value of a field.
    Field(Field),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// When a brace stands alone or what is in braces is not a field.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            literal.push_str(&rest[..brace]);
            let (token, after) = next_token(&rest[brace..])?;
            match token {
                Token::Brace(brace) => literal.push(brace),
                Token::Field(field) => {
                    push_literal(&mut segments, &mut literal);
                    segments.push(Segment::Field(field));
                }
            }
            rest = after;
        }
        literal.push_str(rest);
        push_literal(&mut segments, &mut literal);
        Ok(Self { segments })
    }

    /// The parts in order; none for the empty text.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The text, when no field is in it.
    pub fn as_literal(&self) -> Option<&str> {
        match self.segments.as_slice() {
            [] => Some(""),
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The fields that are needed to fill it in, in order, with repetitions.
    pub fn fields(&self) -> impl Iterator<Item = &Field> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Field(field) => Some(field),
            Segment::Literal(_) => None,
        })
    }
}

/// Puts parts together; literals that follow one another become one.
impl FromIterator<Segment> for Template {
    fn from_iter<I: IntoIterator<Item = Segment>>(parts: I) -> Self {
        let (mut segments, mut literal) = (Vec::new(), String::new());
        for part in parts {
            match part {
                Segment::Literal(text) => literal.push_str(&text),
                Segment::Field(field) => {
                    push_literal(&mut segments, &mut literal);
                    segments.push(Segment::Field(field));
                }
            }
        }
        push_literal(&mut segments, &mut literal);
        Self { segments }
    }
}

/// The written form; parses back to the same template.
impl fmt::Display for Template {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => out.write_str(&text.replace('{', "{{").replace('}', "}}")),
            Segment::Field(field) => write!(out, "{{{field}}}"),
        })
    }
}

/// Why a text is not a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{` without its `}`.
    Unclosed,
    /// A `}` without its `{`.
    Unopened,
    /// The name in braces is not a field.
    Field(UnknownField),
}

impl fmt::Display for TemplateError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unclosed => out.write_str("a `{` of the template is never closed"),
            Self::Unopened => out.write_str("a `}` of the template was never opened"),
            Self::Field(unknown) => unknown.fmt(out),
        }
    }
}

impl Explain for TemplateError {
    fn help(&self) -> Option<String> {
        match self {
            Self::Field(UnknownField { suggestion: Some(field), .. }) => {
                Some(format!("did you mean `{{{field}}}`?"))
            }
            _ => Some("a literal brace is written twice: `{{` or `}}`".to_owned()),
        }
    }
}

enum Token {
    Brace(char),
    Field(Field),
}

fn next_token(text: &str) -> Result<(Token, &str), TemplateError> {
    if let Some(after) = text.strip_prefix("{{") {
        return Ok((Token::Brace('{'), after));
    }
    if let Some(after) = text.strip_prefix("}}") {
        return Ok((Token::Brace('}'), after));
    }
    let Some(inner) = text.strip_prefix('{') else { return Err(TemplateError::Unopened) };
    let Some((name, after)) = inner.split_once('}') else { return Err(TemplateError::Unclosed) };
    let field = Field::parse(name).map_err(TemplateError::Field)?;
    Ok((Token::Field(field), after))
}

fn push_literal(segments: &mut Vec<Segment>, literal: &mut String) {
    if !literal.is_empty() {
        segments.push(Segment::Literal(std::mem::take(literal).into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_literals_alternate() {
        let template = Template::parse("https://{http.host}{http.uri}").unwrap();
        assert_eq!(
            template.segments(),
            [
                Segment::Literal("https://".into()),
                Segment::Field(Field::HttpHost),
                Segment::Field(Field::HttpUri)
            ]
        );
        assert_eq!(template.as_literal(), None);
        assert_eq!(template.fields().count(), 2);
    }

    #[test]
    fn doubled_braces_are_literal_and_print_doubled() {
        let template = Template::parse("{{\"a\": 1}}").unwrap();
        assert_eq!(template.as_literal(), Some("{\"a\": 1}"));
        assert_eq!(template.to_string(), "{{\"a\": 1}}");
        assert_eq!(Template::parse("").unwrap().as_literal(), Some(""));
    }

    #[test]
    fn lone_braces_and_strangers_are_refused() {
        assert_eq!(Template::parse("a{"), Err(TemplateError::Unclosed));
        assert_eq!(Template::parse("a}"), Err(TemplateError::Unopened));
        let help = Template::parse("{http.hots}").unwrap_err().help().unwrap();
        assert!(help.contains("`{http.host}`"), "{help}");
        assert!(matches!(Template::parse("{}"), Err(TemplateError::Field(_))));
    }
}
