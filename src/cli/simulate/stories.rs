//! The demo's clients, written by hand, one column a session, so that each shows one thing plainly.
//!
//! * `came`: `+` kept, `l` late, `c` called off by the client, `n` no-show, `m` moved by the client,
//!   `x` called off by the clinician, ` ` nothing booked (holidays).
//! * `home` and `forms` have one column more: what came back before the session that is next. Homework: `d` done,
//!   `q` done poorly, `p` in part, `o` not done, `x` taken back, ` ` none set. Forms: `a` all answered,
//!   `f` all answered, fast, a digit: so many items answered, `-` missed, ` ` none asked for.
//! * `score` bends at (column, points); `alliance` the same for the Session Rating Scale, empty where none is used.

use super::history::Instrument;

pub struct Story {
    pub came: &'static str,
    pub home: &'static str,
    pub forms: &'static str,
    pub score: &'static [(usize, f64)],
    pub alliance: &'static [(usize, f64)],
    pub instrument: Instrument,
    pub next: Next,
    /// Columns in which the safety item is answered above zero.
    pub safety_from: Option<usize>,
}

/// The next appointment.
pub enum Next {
    Today,
    /// In so many days.
    In(i64),
    /// None is booked: the last session was so many days ago, with or without a planned ending.
    Gone(i64),
    Ended(i64),
}

const PLAIN: Story = Story {
    came: "",
    home: "",
    forms: "",
    score: &[],
    alliance: &[],
    instrument: Instrument::Phq9,
    next: Next::Today,
    safety_from: None,
};

pub const STORIES: &[Story] = &[
    // Leaving quietly: homework thins out, then the form, then the hour itself. Flagged now.
    Story {
        came: "+++++++++++l+c+",
        home: " dddddddpddpqooo",
        forms: "aaaaaaaaaaa8f7--",
        score: &[(0, 17.0), (8, 11.0), (15, 12.0)],
        ..PLAIN
    },
    // Nothing unusual, well on the way.
    Story {
        came: "+++++++++++",
        home: " ddddpdddddd",
        forms: "aaaaaaaaaaaa",
        score: &[(0, 16.0), (11, 7.0)],
        alliance: &[(0, 36.0), (10, 38.0)],
        ..PLAIN
    },
    // Called off and silent from one week to the next. Flagged now.
    Story {
        came: "++++++++++cn",
        home: " ddddpddddpoo",
        forms: "aaaaaaaaaa--a",
        score: &[(0, 15.0), (12, 10.0)],
        ..PLAIN
    },
    // Flagged in the middle, named in session, back since.
    Story {
        came: "+++++++lcn+++++++++",
        home: " ddddddpoooddddddddd",
        forms: "aaaaaaaa7--aaaaaaaaa",
        score: &[(0, 18.0), (7, 14.0), (10, 16.0), (19, 8.0)],
        alliance: &[(0, 36.0), (6, 36.0), (8, 30.0), (11, 36.0), (18, 38.0)],
        ..PLAIN
    },
    // A plateau: better, then no further, still above the cut-off. Not on track; the relationship is fine.
    Story {
        came: "+++++++++++++++",
        home: " dddddddpddddddd",
        forms: "aaaaaaaaaaaaaaaa",
        score: &[(0, 21.0), (5, 13.5), (15, 13.5)],
        ..PLAIN
    },
    // A safety item answered above zero this week.
    Story {
        came: "++++++++",
        home: " ddddpddd",
        forms: "aaaaaaaaa",
        score: &[(0, 18.0), (8, 8.0)],
        safety_from: Some(8),
        ..PLAIN
    },
    // Two sessions so far: too early to say.
    Story { came: "++", home: " dd", forms: "aaa", score: &[(0, 19.0), (2, 18.0)], ..PLAIN },
    // No questionnaires at all; homework and attendance alone.
    Story { came: "+++++++++++++", home: " dddddpdddddpdd", forms: "              ", ..PLAIN },
    // Confrontation, as far as it can be seen: the alliance scale falls, the score rises, homework is done poorly.
    Story {
        came: "++++++++++++",
        home: " dddddddddqqq",
        forms: "aaaaaaaaaaaaa",
        score: &[(0, 15.0), (8, 10.0), (12, 16.0)],
        alliance: &[(0, 37.0), (8, 37.0), (9, 31.0), (11, 27.0)],
        next: Next::In(1),
        ..PLAIN
    },
    // The clinician was away twice; nothing of it is the client's.
    Story {
        came: "+++++x+++   +++x++",
        home: " ddddd xdd    dddxd",
        forms: "aaaaaa aaa   aaa aa",
        score: &[(0, 14.0), (18, 7.0)],
        next: Next::In(1),
        ..PLAIN
    },
    // Gone: two no-shows, nothing booked since.
    Story {
        came: "+++++++lcnn",
        home: " dddddpooooo",
        forms: "aaaaaaa-8---",
        score: &[(0, 15.0), (11, 13.0)],
        next: Next::Gone(24),
        ..PLAIN
    },
    // A planned ending, well: no dropout, though homework faded.
    Story {
        came: "++++++++++++++",
        home: " ddddddddpdppo ",
        forms: "aaaaaaaaaaaaaa ",
        score: &[(0, 18.0), (9, 6.0), (13, 3.0)],
        next: Next::Ended(16),
        ..PLAIN
    },
    // Never quite reliable, and no different now.
    Story {
        came: "+c+++n++l+c++n+++c++l",
        home: " dopdopodpdoddpodpodpd",
        forms: "a-aa-aaa7-aaa-aa-aaaa-",
        score: &[(0, 14.0), (21, 9.0)],
        next: Next::In(2),
        ..PLAIN
    },
    // Flagged, and faded by itself.
    Story {
        came: "+++++++++cl++++++",
        home: " dddddddpoopdddddd",
        forms: "aaaaaaaaa--8aaaaaa",
        score: &[(0, 17.0), (9, 12.0), (17, 8.0)],
        next: Next::In(1),
        ..PLAIN
    },
    // Leaving quietly, no alliance scale, a short record. Flagged now.
    Story {
        came: "++++++l+n",
        home: " dddddpooo",
        forms: "aaaaaa7---",
        score: &[(0, 13.0), (9, 11.0)],
        instrument: Instrument::Gad7,
        ..PLAIN
    },
    // Worse than at the beginning, week after week. Not on track.
    Story {
        came: "++++++++++",
        home: " dddddddddd",
        forms: "aaaaaaaaaaa",
        score: &[(0, 12.0), (3, 11.0), (10, 20.0)],
        next: Next::In(3),
        ..PLAIN
    },
    // Better, and therefore less homework: no rupture.
    Story {
        came: "++++++++++++++",
        home: " dddddddddpdppop",
        forms: "aaaaaaaaaaaaaaa",
        score: &[(0, 18.0), (9, 5.0), (14, 3.0)],
        alliance: &[(0, 37.0), (13, 39.0)],
        next: Next::In(2),
        ..PLAIN
    },
    // A bad fortnight, long past.
    Story {
        came: "+++n++++++++++++++++",
        home: " ddoodddddddpdddddddd",
        forms: "aaa--aaaaaaaaaaaaaaaa",
        score: &[(0, 16.0), (3, 18.0), (20, 6.0)],
        next: Next::In(4),
        ..PLAIN
    },
];
