//! txt-1 and txt-2: a narrative is one well-formed `div` of plain formatting, with something to read in it.

use super::NARRATIVE_DEPTH_MAX;

/// In order, for a binary search.
#[rustfmt::skip]
const TAGS: &[&str] = &[
    "a", "abbr", "acronym", "address", "area", "b", "bdo", "big", "blockquote", "br", "caption", "cite",
    "code", "col", "colgroup", "dd", "del", "dfn", "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5",
    "h6", "hr", "i", "img", "ins", "kbd", "li", "map", "ol", "p", "pre", "q", "s", "samp", "small", "span",
    "strike", "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul",
    "var",
];
const TEXT: &str = "txt-2: A narrative needs some text or an image.";
const FORM: &str = "txt-1: A narrative must be one well-formed XHTML div.";
const ALLOWED: &str =
    "txt-1: A narrative may hold plain formatting only: no scripts, forms, frames, events or other active content.";

/// What was expected, where it is not that.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let mut rest = text.trim();
    let mut open: Vec<&str> = Vec::new();
    let mut readable = false;
    loop {
        let Some(at) = rest.find('<') else {
            return Err(FORM);
        };
        let between = &rest[..at];
        if open.is_empty() && !between.is_empty() {
            return Err(FORM);
        }
        entities(between)?;
        readable |= !between.trim().is_empty();
        rest = &rest[at + 1..];
        if let Some(comment) = rest.strip_prefix("!--") {
            let end = comment.find("-->").ok_or(FORM)?;
            rest = &comment[end + 3..];
            continue;
        }
        let end = end_of_tag(rest).ok_or(FORM)?;
        let tag = &rest[..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name.trim_end()) {
                return Err(FORM);
            }
        } else {
            let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |tag| (tag, true));
            let length = tag.find(|c: char| c.is_ascii_whitespace()).unwrap_or(tag.len());
            let (name, attributes) = tag.split_at(length);
            if open.is_empty() && name != "div" {
                return Err(FORM);
            }
            if TAGS.binary_search(&name).is_err() {
                return Err(ALLOWED);
            }
            check_attributes(name, attributes)?;
            readable |= name == "img";
            if !closed {
                open.push(name);
            }
        }
        if open.len() > NARRATIVE_DEPTH_MAX {
            return Err(ALLOWED);
        }
        if open.is_empty() {
            return match (rest.is_empty(), readable) {
                (true, true) => Ok(()),
                (true, false) => Err(TEXT),
                (false, _) => Err(FORM),
            };
        }
    }
}

/// Position of the `>` that ends a tag, outside of quotes.
fn end_of_tag(text: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(at),
            (None, b'<') => return None,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

fn check_attributes(tag: &str, mut rest: &str) -> Result<(), &'static str> {
    loop {
        rest = rest.trim_start();
        if rest.is_empty() {
            return Ok(());
        }
        let (name, value) = rest.split_once('=').ok_or(FORM)?;
        let name = name.trim_end();
        let value = value.trim_start();
        let quote = value.chars().next().filter(|c| matches!(c, '"' | '\'')).ok_or(FORM)?;
        let (value, after) = value[1..].split_once(quote).ok_or(FORM)?;
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b':' | b'-')) {
            return Err(FORM);
        }
        entities(value)?;
        if name.len() >= 2 && name.as_bytes()[..2].eq_ignore_ascii_case(b"on") {
            return Err(ALLOWED);
        }
        if matches!(name, "href" | "src" | "cite" | "longdesc" | "usemap" | "data" | "codebase") && is_active(value) {
            return Err(ALLOWED);
        }
        if name == "action" || name == "formaction" || (name == "xmlns" && value != "http://www.w3.org/1999/xhtml") {
            return Err(if tag == "div" { FORM } else { ALLOWED });
        }
        rest = after;
    }
}

/// `javascript:` and its like, however it is spelt with blanks, case or entities.
fn is_active(value: &str) -> bool {
    let plain: String = value
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .take(16)
        .collect::<String>()
        .to_ascii_lowercase();
    let scheme = plain.split(['/', '?', '#']).next().unwrap_or_default();
    // An entity in front of the colon hides the scheme.
    scheme.contains('&')
        || plain.starts_with("javascript:")
        || plain.starts_with("vbscript:")
        || (plain.starts_with("data:") && !plain.starts_with("data:image/"))
}

/// Every `&` starts an entity.
fn entities(text: &str) -> Result<(), &'static str> {
    const ENTITY_CHARS_MAX: usize = 10;
    for (at, _) in text.match_indices('&') {
        let body = &text[at + 1..];
        let end = body.bytes().take(ENTITY_CHARS_MAX).position(|byte| byte == b';').ok_or(FORM)?;
        let name = body[..end].strip_prefix('#').unwrap_or(&body[..end]);
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(FORM);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_in_order() {
        assert!(TAGS.is_sorted());
    }

    #[test]
    fn plain_formatting_passes() {
        for good in [
            "<div>Hello</div>",
            "<div xmlns=\"http://www.w3.org/1999/xhtml\"><p class='a'>A &amp; B<br/>&#233;</p><!-- c --></div>",
            "<div><img src=\"data:image/png;base64,AAAA\" alt=\"a > b\"/></div>",
            "<div><a href=\"https://example.org/?a=1\">x</a><table border=\"1\"><tr><td>1</td></tr></table></div>\n",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn active_content_and_bad_form_do_not() {
        for bad in [
            "<div><script>alert(1)</script></div>",
            "<div><iframe src=\"x\">a</iframe></div>",
            "<div><form>a</form></div>",
            "<div onclick=\"x\">a</div>",
            "<div><a href=\"java\nscript:alert(1)\">a</a></div>",
            "<div><a href=\"&#106;avascript:alert(1)\">a</a></div>",
            "<div><img src=x onerror=alert(1)>a</div>",
            "<div><svg>a</svg></div>",
            "<div xmlns=\"http://other\">a</div>",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        for bad in [
            "a",
            "",
            "<p>a</p>",
            "<div>a",
            "<div>a</p></div>",
            "<div>a</div><div>b</div>",
            "<div>a & b</div>",
            "<div><b>a</div></b>",
            "<!DOCTYPE x><div>a</div>",
            "<div><![CDATA[a]]></div>",
            "<div><?php ?>a</div>",
            "<div a>b</div>",
            "<div",
            "<div>&nope",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert_eq!(check("<div> <p/>\n</div>"), Err(TEXT));
        let deep = format!("{}a{}", "<div>".repeat(100_000), "</div>".repeat(100_000));
        assert!(check(&deep).is_err());
    }
}
