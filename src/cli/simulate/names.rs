//! Invented people. No name is a hint at anything: they are drawn apart from everything else.

use super::chance::Chance;
use super::history::{Identity, Therapist};

const WOMEN: [&str; 24] = [
    "Alma", "Bettina", "Cosima", "Dunja", "Elif", "Frieda", "Greta", "Halina", "Ilse", "Jasmin", "Katja", "Leonie",
    "Mirela", "Nadja", "Oda", "Paula", "Rosa", "Selma", "Thea", "Ulrike", "Vera", "Wanda", "Yara", "Zofia",
];
const MEN: [&str; 24] = [
    "Anton", "Bruno", "Cem", "David", "Emil", "Falk", "Gregor", "Henrik", "Ivan", "Jonas", "Kaspar", "Lorenz", "Milan",
    "Nils", "Oskar", "Pavel", "Ruben", "Samir", "Till", "Ulf", "Viktor", "Werner", "Yusuf", "Zoran",
];
const EITHER: [&str; 8] = ["Alex", "Chris", "Jona", "Kim", "Luca", "Mika", "Noa", "Robin"];
const FAMILIES: [&str; 48] = [
    "Ahorn",
    "Bachmair",
    "Birkental",
    "Brandwein",
    "Dornfeld",
    "Ebereschen",
    "Eichholz",
    "Erlenbach",
    "Eschweg",
    "Farnleitner",
    "Feldkamp",
    "Fichtwald",
    "Ginsterberg",
    "Goldregen",
    "Hagedorn",
    "Haselbach",
    "Heidekraut",
    "Hohenau",
    "Immergrün",
    "Kalmus",
    "Kastanek",
    "Kiesling",
    "Kornblum",
    "Lerchner",
    "Lindenau",
    "Lorbeer",
    "Mandelkern",
    "Maulbeer",
    "Mohnfeld",
    "Moosbrugger",
    "Nussdorf",
    "Pappelheim",
    "Quendel",
    "Rainfarn",
    "Rosmarin",
    "Salbeitz",
    "Sanddorn",
    "Schilfrohr",
    "Schlehdorn",
    "Steinbrech",
    "Tannhof",
    "Ulmenstein",
    "Wacholder",
    "Waldmeister",
    "Weidenbusch",
    "Wiesengrund",
    "Wildrose",
    "Zirbel",
];
const THERAPISTS: [(&str, &str); 8] = [
    ("Miriam", "Sonnleitner"),
    ("Johannes", "Uferbach"),
    ("Tamara", "Winterstein"),
    ("Felix", "Morgenroth"),
    ("Agnes", "Talhammer"),
    ("Kemal", "Bergfried"),
    ("Ruth", "Silberhorn"),
    ("Stefan", "Nordlicht"),
];

pub fn identity(chance: &mut Chance) -> Identity {
    let (gender, given): (&str, &[&str]) = match chance.weighted(&[0.63, 0.33, 0.03, 0.01]) {
        0 => ("female", &WOMEN),
        1 => ("male", &MEN),
        2 => ("other", &EITHER),
        _ => ("unknown", &EITHER),
    };
    Identity {
        given: chance.pick(given).to_owned(),
        family: chance.pick(&FAMILIES).to_owned(),
        gender,
        birth_year: chance.whole(1950, 2005),
    }
}

/// The `n`th client of the demo: no two share a name.
pub fn distinct(n: usize) -> Identity {
    let step = n * 7;
    let (gender, given) = match n % 20 {
        13 => ("other", EITHER[n % EITHER.len()]),
        k if k % 3 == 1 => ("male", MEN[step % MEN.len()]),
        _ => ("female", WOMEN[step % WOMEN.len()]),
    };
    let family = FAMILIES[(n * 11 + n / FAMILIES.len()) % FAMILIES.len()];
    Identity { given: given.to_owned(), family: family.to_owned(), gender, birth_year: 1954 + (n as i64 * 13) % 50 }
}

pub fn therapist(prefix: &str, n: usize) -> Therapist {
    let (given, family) = THERAPISTS[n % THERAPISTS.len()];
    Therapist { id: format!("{prefix}-t{}", n % THERAPISTS.len() + 1), given, family }
}
