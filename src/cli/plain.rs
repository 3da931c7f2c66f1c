//! Text of guests, made harmless for a terminal.
//!
//! Takes bytes as they come, gives text in which a control character is seen
//! instead of obeyed. A character cut in two waits for its other half.

/// The text of one stream.
#[derive(Debug, Default)]
pub(super) struct Plain {
    /// The beginning of a character whose end did not come yet.
    cut: Vec<u8>,
}

impl Plain {
    /// The next bytes as text.
    pub(super) fn text(&mut self, bytes: &[u8]) -> String {
        let mut whole = std::mem::take(&mut self.cut);
        whole.extend_from_slice(bytes);
        let mut text = String::new();
        let mut chunks = whole.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|c| push(&mut text, c));
            let is_last = chunks.peek().is_none();
            match chunk.invalid() {
                [] => {}
                cut if is_last && is_begun(cut) => self.cut = cut.to_vec(),
                _ => text.push(char::REPLACEMENT_CHARACTER),
            }
        }
        text
    }
}

/// Whether more bytes could make a character of these.
fn is_begun(bytes: &[u8]) -> bool {
    matches!(std::str::from_utf8(bytes), Err(error) if error.error_len().is_none())
}

fn push(text: &mut String, c: char) {
    match c {
        '\n' | '\t' => text.push(c),
        c if c.is_control() => text.extend(c.escape_default()),
        c => text.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_seen_and_lines_stay() {
        let text = Plain::default().text("a\tb\r\n\x1b[2Jé\u{9b}\n".as_bytes());
        assert_eq!(text, "a\tb\\r\n\\u{1b}[2Jé\\u{9b}\n");
    }

    #[test]
    fn a_character_cut_in_two_is_put_together_and_rubbish_is_marked() {
        let mut plain = Plain::default();
        let (begin, end) = "é".as_bytes().split_at(1);
        assert_eq!(plain.text(begin), "");
        assert_eq!(plain.text(end), "é");
        assert_eq!(plain.text(b"\xffa"), "\u{fffd}a");
    }
}
