//! `reside`, `resident`, `set_curb`, `curb`: who watches over the workers of this host, and how many there may be.
//!
//! What would be found here: two that both have the place, one that outlives its process, and a curb that is written anew
//! where nothing has changed, or that stays when it was taken back.

use crate::scene::Scene;
use rowmill::store::{Curb, Resident};

on_every_backend!(one_has_the_place_until_it_is_dropped, a_curb_stands_until_another_one_or_none_does,);

fn one_has_the_place_until_it_is_dropped(s: &mut Scene) {
    let mut other = s.another();
    assert_eq!(other.resident().unwrap(), None);
    let place = s.store.reside(1_234).unwrap().expect("nobody has it");
    assert!(other.reside(5_678).unwrap().is_none());
    let pid = i32::try_from(std::process::id()).unwrap();
    assert_eq!(other.resident().unwrap(), Some(Resident { pid, since: 1_234 }));
    drop(place);
    assert_eq!(other.resident().unwrap(), None);
    let _place = crate::scene::patiently(|| other.reside(5_678).unwrap());
    assert_eq!(s.store.resident().unwrap(), Some(Resident { pid, since: 5_678 }));
}

fn a_curb_stands_until_another_one_or_none_does(s: &mut Scene) {
    let mut other = s.another();
    assert_eq!(other.curb().unwrap(), None);
    let curb = |workers, since| Curb { workers, since, why: "load 9.0 of 8.0".to_string() };
    for (wanted, changes) in
        [(Some(curb(3, 7)), true), (Some(curb(3, 7)), false), (Some(curb(2, 9)), true), (None, true), (None, false)]
    {
        let before = s.number("PRAGMA data_version");
        other.set_curb(wanted.as_ref()).unwrap();
        assert_eq!(s.number("PRAGMA data_version") != before, changes, "{wanted:?}");
        assert_eq!(s.store.curb().unwrap(), wanted);
    }
    assert!(other.set_curb(Some(&curb(0, 7))).is_err(), "one worker is always there");
    assert_eq!(s.store.curb().unwrap(), None);
}
