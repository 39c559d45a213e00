//! `smart_style_url`: the EHR's colours, as far as our words can be read against them.
//!
//! Three colours are taken (background, text, highlight) of a document by the EHR that may be anything. They reach
//! the browser as a stylesheet of variables made from nine hexadecimal pairs: nothing else of the document does.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Contrast that text needs (WCAG 2.2, 1.4.3).
const CONTRAST_MIN: f64 = 4.5;
/// Colours of our own that stand as text on the background: soft, warm, ok, danger (`src/view/page.css`).
const ON_LIGHT: [Colour; 4] = [Colour(0x55626f), Colour(0xa94a12), Colour(0x2a6a4a), Colour(0xa3162a)];
const ON_DARK: [Colour; 4] = [Colour(0xa3b0bd), Colour(0xf2a76f), Colour(0x86c9a4), Colour(0xff9aa5)];

/// sRGB, `0xRRGGBB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Colour(u32);

/// Colours that go together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Palette {
    background: Colour,
    text: Colour,
    highlight: Option<Colour>,
}

impl Colour {
    /// `#rrggbb` or `#rgb`, and no other way of CSS to say a colour.
    fn read(text: &str) -> Option<Self> {
        let digits = text.strip_prefix('#')?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return None;
        }
        let whole = match digits.len() {
            6 => digits.to_owned(),
            3 => digits.chars().flat_map(|digit| [digit, digit]).collect(),
            _ => return None,
        };
        u32::from_str_radix(&whole, 16).ok().map(Self)
    }

    /// Relative luminance, 0 to 1 (WCAG 2.2).
    fn luminance(self) -> f64 {
        let part = |shift: u32| {
            let value = f64::from(self.0 >> shift & 0xff) / 255.0;
            if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * part(16) + 0.7152 * part(8) + 0.0722 * part(0)
    }

    fn stands_on(self, ground: Self) -> bool {
        let (a, b) = (self.luminance(), ground.luminance());
        (a.max(b) + 0.05) / (a.min(b) + 0.05) >= CONTRAST_MIN
    }
}

impl std::fmt::Display for Colour {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:06x}", self.0)
    }
}

impl Palette {
    /// From the EHR's document. `None`: it has no colours, or none that can be read against.
    #[must_use]
    pub fn read(document: &Value) -> Option<Self> {
        let colour = |key: &str| document.get(key)?.as_str().and_then(Colour::read);
        Self::of(colour("color_background")?, colour("color_text")?, colour("color_highlight"))
    }

    /// From the query of a URL of ours: judged again, since anyone can write one.
    #[must_use]
    pub fn parse(query: &str) -> Option<Self> {
        let mut parts = query.splitn(3, '-').map(|part| Colour::read(&format!("#{part}")));
        let (background, text) = (parts.next()??, parts.next()??);
        Self::of(background, text, parts.next().flatten())
    }

    fn of(background: Colour, text: Colour, highlight: Option<Colour>) -> Option<Self> {
        let ours = if background.is_light() { ON_LIGHT } else { ON_DARK };
        let read = text.stands_on(background) && ours.iter().all(|one| one.stands_on(background));
        let highlight = highlight.filter(|one| one.stands_on(background));
        read.then_some(Self { background, text, highlight })
    }

    /// For a URL: `ffffff-16202b-1f5f8b`.
    #[must_use]
    pub fn query(&self) -> String {
        let highlight = self.highlight.map_or_else(String::new, |one| format!("-{one}"));
        format!("{}-{}{highlight}", self.background, self.text)
    }

    /// The variables of `page.css` that change, for readers whose system is as light or dark as the EHR.
    #[must_use]
    pub fn css(&self) -> String {
        let scheme = if self.background.is_light() { "light" } else { "dark" };
        let Self { background, text, highlight } = self;
        let main = highlight.map_or_else(String::new, |one| format!(" --main: #{one};"));
        format!(
            "@media (prefers-color-scheme: {scheme}) {{ :root {{ --paper: #{background}; --wash: #{background}; \
             --ink: #{text};{main} }} }}"
        )
    }
}

impl Colour {
    fn is_light(self) -> bool {
        self.luminance() > 0.179
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn colours_that_can_be_read_are_taken_and_nothing_else_is() {
        let fine = json!({"color_background": "#fdfdf8", "color_text": "#123", "color_highlight": "#004488", "font_family_body": "x"});
        let palette = Palette::read(&fine).expect("a palette");
        assert_eq!(palette.query(), "fdfdf8-112233-004488");
        assert_eq!(Palette::parse(&palette.query()), Some(palette));
        assert!(palette.css().contains("light") && palette.css().contains("--ink: #112233; --main: #004488;"));
        let dark = json!({"color_background": "#101418", "color_text": "#f0f0f0"});
        assert!(Palette::read(&dark).expect("a palette").css().contains("dark"));
        for (background, text) in [
            ("#ffffff", "#eeeeee"),
            ("#888888", "#000000"),
            ("red", "#000000"),
            ("#fff;}body{display:none", "#000000"),
            ("url(https://x)", "#000"),
            ("#ffff", "#000"),
        ] {
            let odd = json!({"color_background": background, "color_text": text});
            assert_eq!(Palette::read(&odd), None, "{background} {text}");
        }
        for query in ["", "ffffff", "ffffff-eeeeee", "ffffff-000000}-x{", "é-é-é"] {
            assert!(Palette::parse(query).is_none_or(|palette| !palette.css().contains('x')), "{query}");
        }
        let faint = json!({"color_background": "#fff", "color_text": "#000", "color_highlight": "#ffff00"});
        assert!(!Palette::read(&faint).expect("a palette").css().contains("--main"), "yellow links on white");
    }
}
