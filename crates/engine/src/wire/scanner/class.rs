//! Which bytes may stand where.

/// A set of bytes.
pub(super) struct Class([bool; 256]);

/// `tchar` of RFC 9110 §5.6.2: methods and field names.
pub(super) static TOKEN: Class =
    Class::new(b"!#$%&'*+-.^_`|~", &[(b'0', b'9'), (b'A', b'Z'), (b'a', b'z')]);

/// Visible ASCII without `#`: a request target has none, and parsers either cut there or keep it.
pub(super) static TARGET: Class = Class::new(b"!\"", &[(b'$', b'~')]);

/// `field-content` of RFC 9110 §5.5, `obs-text` included.
pub(super) static VALUE: Class = Class::new(b"\t", &[(b' ', b'~'), (0x80, 0xff)]);

/// A chunk extension: visible ASCII, space and tab.
pub(super) static EXTENSION: Class = Class::new(b"\t", &[(b' ', b'~')]);

impl Class {
    const fn new(listed: &[u8], ranges: &[(u8, u8)]) -> Self {
        let mut set = [false; 256];
        let mut index = 0;
        while index < listed.len() {
            set[listed[index] as usize] = true;
            index += 1;
        }
        let mut range = 0;
        while range < ranges.len() {
            let mut byte = ranges[range].0 as usize;
            while byte <= ranges[range].1 as usize {
                set[byte] = true;
                byte += 1;
            }
            range += 1;
        }
        Self(set)
    }

    /// How many bytes at the start of `bytes` belong to the set.
    pub(super) fn run(&self, bytes: &[u8]) -> usize {
        bytes.iter().position(|&byte| !self.0[usize::from(byte)]).unwrap_or(bytes.len())
    }
}
