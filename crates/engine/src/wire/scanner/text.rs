//! A field name, or the value of a decisive field, over slices.

/// A short text collected over slices; one that does not fit reads as nothing.
#[derive(Debug)]
pub(super) struct Text {
    bytes: [u8; MAX_TEXT],
    length: usize,
}

impl Text {
    pub(super) fn new() -> Self {
        Self { bytes: [0; MAX_TEXT], length: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.length = 0;
    }

    pub(super) fn push(&mut self, more: &[u8]) {
        let end = self.length.saturating_add(more.len());
        if let Some(place) = self.bytes.get_mut(self.length..end) {
            place.copy_from_slice(more);
        }
        self.length = end;
    }

    pub(super) fn get(&self) -> Option<&[u8]> {
        self.bytes.get(..self.length)
    }
}

/// The longest host and port with some white space around it.
const MAX_TEXT: usize = 320;
