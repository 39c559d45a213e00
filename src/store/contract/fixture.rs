//! A database of its own for each case, and short ways to say what is written.

use crate::store::*;

#[path = "../../../tests/support/postgres.rs"]
mod postgres;

pub struct Fixture {
    pub store: Arc<dyn Store>,
    pub url: String,
    _folder: Option<tempfile::TempDir>,
}

impl Fixture {
    pub async fn sqlite() -> Fixture {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("t.db").display());
        let store = connect(&url).await.expect("a store");
        Fixture { store, url, _folder: Some(folder) }
    }

    pub async fn postgres() -> Option<Fixture> {
        let url = postgres::new_database().await?;
        let store = connect(&url).await.expect("a store");
        Some(Fixture { store, url, _folder: None })
    }

    /// The same database, as another process would open it.
    pub async fn again(&self) -> Arc<dyn Store> {
        connect(&self.url).await.expect("the store again")
    }

    pub async fn write(&self, puts: Vec<Put>) {
        write(&*self.store, puts).await.expect("a write");
    }

    pub async fn json(&self, key: &Key) -> Option<String> {
        self.store.read(key).await.expect("a read").map(|version| version.json.to_string())
    }

    pub async fn ids(&self, query: &Query) -> Vec<String> {
        let page = self.store.search(query).await.expect("a search");
        page.versions.iter().map(|version| version.key.id.to_string()).collect()
    }
}

pub async fn write(store: &dyn Store, puts: Vec<Put>) -> Result<()> {
    let mut tx = store.begin().await?;
    tx.put(puts).await?;
    tx.commit().await
}

pub fn key(kind: Kind, id: &str) -> Key {
    Key { kind, id: id.into() }
}

/// Microseconds since 1970.
pub fn at(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).expect("a time")
}

pub fn resource(kind: Kind, id: &str, version: u64) -> Put {
    Put {
        key: key(kind, id),
        version,
        updated: at(1_000_000 + version as i64),
        sender_updated: None,
        deleted: false,
        method: if version == 1 { Method::Post } else { Method::Put },
        json: format!("{kind}/{id} v{version}").into(),
        client: None,
        sharers: Vec::new(),
        event: None,
        hash: [version as u8; 16],
        terms: Vec::new(),
        behind: false,
    }
}

pub fn deleted(kind: Kind, id: &str, version: u64) -> Put {
    Put { deleted: true, method: Method::Delete, json: "".into(), ..resource(kind, id, version) }
}

impl Put {
    pub fn client(self, client: &str) -> Put {
        Put { client: Some(client.into()), ..self }
    }

    pub fn event(self, event: &[u8]) -> Put {
        Put { event: Some(event.to_vec()), ..self }
    }

    pub fn at(self, micros: i64) -> Put {
        Put { updated: at(micros), ..self }
    }

    pub fn term(mut self, param: &'static str, value: TermValue) -> Put {
        self.terms.push(Term { param, value });
        self
    }

    pub fn token(self, param: &'static str, system: &str, code: &str) -> Put {
        let system = (!system.is_empty()).then(|| system.to_owned());
        self.term(param, TermValue::Token { system, code: code.into() })
    }

    pub fn reference(self, param: &'static str, to: &str) -> Put {
        self.term(param, TermValue::Reference(to.into()))
    }

    pub fn date(self, param: &'static str, from: i64, to: i64) -> Put {
        self.term(param, TermValue::Date { from, to })
    }

    pub fn text(self, param: &'static str, text: &str) -> Put {
        self.term(param, TermValue::Text(text.into()))
    }
}

pub fn query(kind: Kind) -> Query {
    Query { kind, count: 100, ..Query::default() }
}

impl Query {
    pub fn filter(mut self, param: &'static str, any: &[Match]) -> Query {
        self.filters.push(Filter { param, any: any.to_vec(), not: false });
        self
    }

    pub fn not(mut self, param: &'static str, any: &[Match]) -> Query {
        self.filters.push(Filter { param, any: any.to_vec(), not: true });
        self
    }

    pub fn sort(mut self, param: &'static str, descending: bool) -> Query {
        self.sort.push(Sort { param, descending });
        self
    }

    pub fn count(self, count: usize) -> Query {
        Query { count, ..self }
    }
}

pub fn code(code: &str) -> Match {
    Match::Token { system: None, code: Some(code.into()) }
}

pub fn coded(system: &str, code: &str) -> Match {
    Match::Token { system: Some(system.into()), code: Some(code.into()) }
}

pub fn date(prefix: Prefix, from: i64, to: i64) -> Match {
    Match::Date { prefix, from, to }
}

/// Every id, page by page.
pub async fn all_pages(store: &dyn Store, mut query: Query) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let page = store.search(&query).await.expect("a page");
        ids.extend(page.versions.iter().map(|version| version.key.id.to_string()));
        match page.next {
            Some(next) => query.after = Some(next),
            None => return ids,
        }
    }
}

/// Numbers that look random and are the same each time.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.roll(from.len() as u64) as usize]
    }
}
