//! What an effect hands to the database and gets back: every value comes back as it was.

use super::*;
use crate::task::Value;
use proptest::prelude::*;
use std::sync::{Arc, Mutex};

fn any_value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        prop_oneof![any::<String>(), "[a\0 \u{fffd}]{0,4}"].prop_map(Value::Text),
        proptest::collection::vec(any::<u8>(), 0..40).prop_map(Value::Blob),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn every_value_comes_back_as_it_was(values in proptest::collection::vec(any_value(), 1..60)) {
        let folder = TempDir::new().unwrap();
        let mut store = scene(&folder);
        store.conn.execute_batch("CREATE TABLE kept (n INTEGER PRIMARY KEY, value)").unwrap();
        add(&mut store, "noop", 0);
        let back = Arc::new(Mutex::new(Vec::new()));
        let (given, seen) = (values.clone(), Arc::clone(&back));
        let outcome = Outcome::done().effect(move |tx| {
            for (n, value) in given.iter().enumerate() {
                tx.execute("INSERT INTO kept (n, value) VALUES (?1, ?2)", &[(n as i64).into(), value.clone()])?;
            }
            *seen.lock().unwrap() = tx.query("SELECT value, ?1 FROM kept ORDER BY n", &[Value::Null])?;
            Ok(())
        });
        let (_, _, settling) = settle(&mut store, vec![outcome]);
        prop_assert_eq!(settling.unwrap(), Settling::Committed(vec![Verdict::Written]));
        // SQLite has no number that is none.
        let no_nan = |value| match value {
            Value::Real(number) if number.is_nan() => Value::Null,
            other => other,
        };
        let wanted: Vec<Vec<Value>> = values.into_iter().map(|value| vec![no_nan(value), Value::Null]).collect();
        prop_assert_eq!(&*back.lock().unwrap(), &wanted);
    }
}
