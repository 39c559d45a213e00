//! A walk over JSON that has been read before, into the branches that are looked for.

use super::{Counter, Wanted};

pub(super) fn walk(text: &str, wanted: &mut Wanted) {
    let mut walk = Walk { bytes: text.as_bytes(), at: 0, counter: Counter::new(text), wanted };
    walk.blanks();
    walk.found(0);
    walk.value(Some(0));
}

struct Walk<'t, 'w> {
    bytes: &'t [u8],
    at: usize,
    counter: Counter<'t>,
    wanted: &'w mut Wanted,
}

impl Walk<'_, '_> {
    fn here(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while self.here().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    fn found(&mut self, node: usize) {
        let place = self.counter.place(self.at);
        self.wanted.found(node, place);
    }

    /// As deep as what is looked for.
    fn value(&mut self, node: Option<usize>) {
        if self.wanted.left == 0 {
            // To the end: nothing else is looked for.
            self.at = self.bytes.len();
            return;
        }
        let node = node.filter(|node| !self.wanted.is_leaf(*node));
        match (self.here(), node) {
            (Some(b'{'), Some(node)) => self.object(node),
            (Some(b'['), Some(node)) => self.array(node),
            _ => self.skip(),
        }
    }

    fn object(&mut self, node: usize) {
        self.at += 1;
        loop {
            self.blanks();
            if self.here() != Some(b'"') {
                break;
            }
            let start = self.at;
            self.string();
            let raw = self.bytes.get(start..self.at).unwrap_or_default();
            let name: Option<String> = serde_json::from_slice(raw).ok();
            let child = name.and_then(|name| self.wanted.field(node, &name));
            if let Some(child) = child {
                let place = self.counter.place(start);
                self.wanted.found(child, place);
            }
            self.blanks();
            self.at += usize::from(self.here() == Some(b':'));
            self.blanks();
            self.value(child);
            if !self.comma() {
                break;
            }
        }
        self.at += 1;
    }

    fn array(&mut self, node: usize) {
        self.at += 1;
        for index in 0.. {
            self.blanks();
            if matches!(self.here(), None | Some(b']')) {
                break;
            }
            let child = self.wanted.item(node, index);
            if let Some(child) = child {
                self.found(child);
            }
            self.value(child);
            if !self.comma() {
                break;
            }
        }
        self.at += 1;
    }

    fn comma(&mut self) -> bool {
        self.blanks();
        let more = self.here() == Some(b',');
        self.at += usize::from(more);
        more
    }

    /// Past one value, whatever is in it.
    fn skip(&mut self) {
        let mut open = 0_usize;
        loop {
            match self.here() {
                None => return,
                Some(b'"') => {
                    self.string();
                    if open == 0 {
                        return;
                    }
                    continue;
                }
                Some(b'{' | b'[') => open += 1,
                Some(b'}' | b']') if open == 0 => return,
                Some(b'}' | b']') => {
                    open -= 1;
                    if open == 0 {
                        self.at += 1;
                        return;
                    }
                }
                Some(b',') if open == 0 => return,
                Some(_) => {}
            }
            self.at += 1;
        }
    }

    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.here() {
            self.at += match byte {
                b'\\' => 2,
                _ => 1,
            };
            if byte == b'"' {
                return;
            }
        }
    }
}
