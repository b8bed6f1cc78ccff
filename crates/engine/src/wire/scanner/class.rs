//! Which bytes may stand where.

/// How many bytes at the start are `tchar` of RFC 9110 §5.6.2: methods and field names.
pub(super) fn token(bytes: &[u8]) -> usize {
    run(bytes, |byte| TOKEN[usize::from(byte)])
}

/// Visible ASCII without `#`: a request target has none, and parsers either cut there or keep it.
pub(super) fn target(bytes: &[u8]) -> usize {
    let suspects = |word| below(word, b'!') | equal(word, b'#') | equal(word, 0x7f) | high(word);
    long_run(bytes, suspects, |byte| byte.is_ascii_graphic() && byte != b'#')
}

/// `field-content` of RFC 9110 §5.5, `obs-text` included.
pub(super) fn value(bytes: &[u8]) -> usize {
    let suspects = |word| below(word, b' ') | equal(word, 0x7f);
    long_run(bytes, suspects, |byte| (byte >= b' ' && byte != 0x7f) || byte == b'\t')
}

/// A chunk extension: visible ASCII, space and tab.
pub(super) fn extension(bytes: &[u8]) -> usize {
    run(bytes, |byte| byte.is_ascii_graphic() || byte == b' ' || byte == b'\t')
}

fn run(bytes: &[u8], legal: impl Fn(u8) -> bool) -> usize {
    bytes.iter().position(|&byte| !legal(byte)).unwrap_or(bytes.len())
}

/// As [`run`], eight bytes at a time: `suspects` marks in the highest bit of each byte at least
/// those that are not legal, and only they are looked at.
fn long_run(bytes: &[u8], suspects: impl Fn(u64) -> u64, legal: impl Fn(u8) -> bool) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let mut marks = suspects(u64::from_le_bytes(*word));
        while marks != 0 {
            let place = (marks.trailing_zeros() / 8) as usize;
            if !legal(word[place]) {
                return 8 * index + place;
            }
            marks &= marks - 1;
        }
    }
    bytes.len() - rest.len() + run(rest, legal)
}

const ONES: u64 = u64::from_le_bytes([1; 8]);

const HIGHEST: u64 = ONES << 7;

/// Marks bytes below `least`, which is ASCII; above one that it marks, perhaps more.
fn below(word: u64, least: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(least)) & !word & HIGHEST
}

/// Marks bytes that are `byte`; above one that it marks, perhaps more.
fn equal(word: u64, byte: u8) -> u64 {
    below(word ^ (ONES * u64::from(byte)), 1)
}

/// Marks bytes beyond ASCII.
fn high(word: u64) -> u64 {
    word & HIGHEST
}

static TOKEN: [bool; 256] = {
    let mut set = [false; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        set[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(byte, b'!' | b'#'..=b'\'' | b'*' | b'+' | b'-' | b'.' | b'^'..=b'`' | b'|' | b'~');
        byte += 1;
    }
    set
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_classes_are_those_of_the_grammar() {
        for byte in 0..=u8::MAX {
            let character = char::from(byte);
            let tchar = character.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(character);
            let field = byte == b'\t' || (byte >= b' ' && byte != 0x7f);
            let visible = (b'!'..=b'~').contains(&byte);
            for length in [1, 15, 16, 17, 40] {
                let bytes = vec![byte; length];
                let all = |legal| if legal { length } else { 0 };
                assert_eq!(token(&bytes), all(tchar), "{byte}");
                assert_eq!(target(&bytes), all(visible && byte != b'#'), "{byte}");
                assert_eq!(value(&bytes), all(field), "{byte}");
                assert_eq!(extension(&bytes), all(field && byte < 0x80), "{byte}");
            }
        }
    }

    #[test]
    fn a_run_ends_at_the_first_byte_outside() {
        for at in 0..40 {
            let mut bytes = [b'a'; 40];
            bytes[at] = 0;
            assert_eq!((token(&bytes), value(&bytes), target(&bytes)), (at, at, at));
        }
    }
}
