//! What a browser's secret opens.

use super::fixture::*;
use super::on_both;
use crate::store::*;

on_both!(kept_until_its_time, taken_by_one, held_by_one, no_more_than_so_many);

fn sealed(name: u8, until: i64) -> Sealed {
    Sealed { shelf: 2, name: [name; 32], bytes: vec![name, 0, 255], until: at(until) }
}

async fn kept_until_its_time(f: Fixture) {
    let store = &*f.store;
    let one = sealed(1, 100);
    assert!(store.seal(&one, at(0), 9).await.unwrap());
    assert!(!store.seal(&Sealed { bytes: vec![7], ..one.clone() }, at(0), 9).await.unwrap(), "it stands already");
    assert_eq!(f.again().await.sealed(2, &one.name, at(99)).await.unwrap(), Some(one.clone()));
    assert_eq!(store.sealed(3, &one.name, at(99)).await.unwrap(), None, "another shelf");
    assert_eq!(store.sealed(2, &one.name, at(100)).await.unwrap(), None);
    store.extend(2, &one.name, at(200)).await.unwrap();
    let changed = Sealed { bytes: vec![9], until: at(300), ..one.clone() };
    assert!(store.reseal(&changed).await.unwrap());
    assert_eq!(store.sealed(2, &one.name, at(299)).await.unwrap(), Some(changed.clone()));
    assert!(!store.reseal(&sealed(2, 300)).await.unwrap(), "nothing stands there");
    store.seal(&sealed(3, 500), at(0), 9).await.unwrap();
    assert_eq!(store.sweep(at(300)).await.unwrap(), 1);
    assert!(!store.reseal(&changed).await.unwrap(), "gone");
    assert!(store.sealed(2, &[3; 32], at(300)).await.unwrap().is_some());
}

async fn taken_by_one(f: Fixture) {
    let (one, two) = (f.store.clone(), f.again().await);
    for name in 0..20 {
        one.seal(&sealed(name, 100), at(0), 99).await.unwrap();
        let name = [name; 32];
        let (a, b) = tokio::join!(one.unseal(2, &name, at(1)), two.unseal(2, &name, at(1)));
        assert_eq!([a.unwrap(), b.unwrap()].iter().flatten().count(), 1);
    }
    assert_eq!(one.unseal(2, &[0; 32], at(1)).await.unwrap(), None);
}

async fn held_by_one(f: Fixture) {
    let store = &*f.store;
    let one = sealed(1, 100);
    assert!(!store.hold(2, &one.name, at(1), at(20)).await.unwrap(), "nothing to hold");
    store.seal(&one, at(0), 9).await.unwrap();
    assert!(store.hold(2, &one.name, at(1), at(20)).await.unwrap());
    assert!(!store.hold(2, &one.name, at(19), at(30)).await.unwrap());
    assert!(store.hold(2, &one.name, at(20), at(30)).await.unwrap());
    assert!(store.reseal(&one).await.unwrap());
    assert!(store.hold(2, &one.name, at(21), at(40)).await.unwrap(), "what is written anew is let go");
    assert!(!store.hold(2, &one.name, at(100), at(140)).await.unwrap(), "past its time");
}

async fn no_more_than_so_many(f: Fixture) {
    let store = &*f.store;
    assert!(store.seal(&sealed(1, 100), at(0), 2).await.unwrap());
    assert!(store.seal(&sealed(2, 50), at(0), 2).await.unwrap());
    assert!(!store.seal(&sealed(3, 100), at(0), 2).await.unwrap());
    assert!(store.seal(&sealed(3, 100), at(50), 2).await.unwrap(), "one of them is past its time");
}
