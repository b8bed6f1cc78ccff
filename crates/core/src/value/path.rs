//! Path normalisation by RFC 3986 §6.2.2, the one form in which paths are compared and forwarded.

use std::{borrow::Cow, fmt};

/// Normalises an absolute path (without query): escapes of unreserved characters are decoded,
/// the digits of other escapes are upper case, and dot segments are removed.
///
/// `%2F` stays as it is, since a decoded slash would change the segments; backslashes and doubled
/// slashes are left alone. A path that is normal already is borrowed: one scan, no allocation.
///
/// # Errors
/// When the path does not start with `/`, has a malformed escape, or a NUL in either form.
pub fn normalise(path: &str) -> Result<Cow<'_, str>, PathError> {
    if !path.starts_with('/') {
        return Err(PathError::NotAbsolute);
    }
    if is_normal(path.as_bytes()) {
        return Ok(Cow::Borrowed(path));
    }
    rewrite(path).map(Cow::Owned)
}

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// It does not start with `/`.
    NotAbsolute,
    /// A `%` is not followed by two hexadecimal digits.
    BadEscape,
    /// It has a NUL, escaped or not.
    Nul,
}

impl fmt::Display for PathError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotAbsolute => "a path starts with `/`",
            Self::BadEscape => "a `%` in a path takes two hexadecimal digits",
            Self::Nul => "a path has no NUL",
        })
    }
}

impl super::Explain for PathError {
    fn help(&self) -> Option<String> {
        Some(str::to_owned(match self {
            Self::NotAbsolute => "put a `/` in front",
            Self::BadEscape => "a literal percent sign is written `%25`",
            Self::Nul => return None,
        }))
    }
}

fn is_normal(path: &[u8]) -> bool {
    let mut before = 0;
    for (at, &byte) in path.iter().enumerate() {
        let normal = match byte {
            0 => false,
            b'%' => is_normal_escape(&path[at..]),
            b'.' if before == b'/' => !is_dot_segment(&path[at..]),
            _ => true,
        };
        if !normal {
            return false;
        }
        before = byte;
    }
    true
}

fn is_normal_escape(rest: &[u8]) -> bool {
    let upper = |digit: u8| digit.is_ascii_digit() || (b'A'..=b'F').contains(&digit);
    matches!(rest, [_, high, low, ..] if upper(*high) && upper(*low))
        && decode(rest).is_ok_and(|byte| !is_unreserved(byte))
}

/// Whether a segment that starts here is `.` or `..`. An escape in it is not looked into, since
/// an escaped dot has already been found not to be normal.
fn is_dot_segment(rest: &[u8]) -> bool {
    matches!(rest, [b'.'] | [b'.', b'/', ..] | [b'.', b'.'] | [b'.', b'.', b'/', ..])
}

fn rewrite(path: &str) -> Result<String, PathError> {
    let mut normal = String::with_capacity(path.len());
    let mut segments = path[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        let start = normal.len();
        normal.push('/');
        push_segment(&mut normal, segment)?;
        let up = match &normal[start + 1..] {
            "." => false,
            ".." => true,
            _ => continue,
        };
        normal.truncate(start);
        if up {
            normal.truncate(normal.rfind('/').unwrap_or(0));
        }
        if segments.peek().is_none() {
            normal.push('/');
        }
    }
    Ok(normal)
}

fn push_segment(normal: &mut String, segment: &str) -> Result<(), PathError> {
    let mut pieces = segment.split('%');
    let first = pieces.next().unwrap_or_default();
    push_plain(normal, first)?;
    for piece in pieces {
        let byte = decode_digits(piece.as_bytes())?;
        if is_unreserved(byte) {
            normal.push(byte as char);
        } else {
            normal.push('%');
            normal.push_str(&piece[..2].to_ascii_uppercase());
        }
        push_plain(normal, &piece[2..])?;
    }
    Ok(())
}

fn push_plain(normal: &mut String, text: &str) -> Result<(), PathError> {
    if text.contains('\0') {
        return Err(PathError::Nul);
    }
    normal.push_str(text);
    Ok(())
}

fn decode(escape: &[u8]) -> Result<u8, PathError> {
    decode_digits(escape.get(1..).unwrap_or_default())
}

fn decode_digits(digits: &[u8]) -> Result<u8, PathError> {
    let hex = |digit: u8| (digit as char).to_digit(16).map(|value| value as u8);
    match digits {
        [high, low, ..] => match hex(*high).zip(hex(*low)) {
            Some((0, 0)) => Err(PathError::Nul),
            Some((high, low)) => Ok(high << 4 | low),
            None => Err(PathError::BadEscape),
        },
        _ => Err(PathError::BadEscape),
    }
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_normal_path_is_borrowed() {
        for path in ["/", "/a/b", "/a%2Fb", "/a//b", "/.well-known/x", "/a.b/..c", "/a\\b", "/é"] {
            assert!(matches!(normalise(path), Ok(Cow::Borrowed(same)) if same == path), "{path}");
        }
    }

    #[test]
    fn escapes_and_dot_segments_take_one_form() {
        for (path, normal) in [
            ("/%61%7e", "/a~"),
            ("/%2f%c3%a9", "/%2F%C3%A9"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/..", "/"),
            ("/../../a", "/a"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/.%2e/b", "/b"),
            ("/%252e%252e/a", "/%252e%252e/a"),
            ("/a//../b", "/a/b"),
            ("/a/..%2fb", "/a/..%2Fb"),
            ("/./", "/"),
        ] {
            assert_eq!(normalise(path).as_deref(), Ok(normal), "{path}");
        }
    }

    #[test]
    fn what_has_no_normal_form_is_refused() {
        assert_eq!(normalise(""), Err(PathError::NotAbsolute));
        assert_eq!(normalise("*"), Err(PathError::NotAbsolute));
        for path in ["/%", "/%4", "/%zz", "/a%/b", "/%+1", "/%é1"] {
            assert_eq!(normalise(path), Err(PathError::BadEscape), "{path}");
        }
        assert_eq!(normalise("/a%00"), Err(PathError::Nul));
        assert_eq!(normalise("/a\0"), Err(PathError::Nul));
    }
}
