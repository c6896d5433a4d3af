//! How soon messages flow again when some trouble is over.

use std::collections::BTreeSet;

use simulation::recovery::{ROWS, RecoveryFigures, RecoveryTime, measure, measure_one, table};

/// Seeds for each row here; `cargo simulate recovery` takes more.
const SEEDS: u64 = 12;

#[test]
fn messages_flow_again_within_the_limits_of_every_row() {
    let figures: Vec<_> = ROWS.iter().map(|row| measure(row, SEEDS)).collect();
    let are_within = figures.iter().all(RecoveryFigures::are_within_their_limits);
    assert!(are_within, "\n{}", table(&figures));
}

/// The trouble is trouble, and comes to an end by itself.
#[test]
fn every_row_has_messages_that_wait_and_none_waits_for_ever() {
    for row in ROWS {
        let measured = measure_one(row, 1);
        let columns = [measured.first, measured.new, measured.all];
        assert!(columns.iter().any(Option::is_some), "{}", row.name);
        let is_through = columns
            .iter()
            .flatten()
            .all(|wait| *wait != RecoveryTime::Never);
        assert!(is_through, "{}: {measured:?}", row.name);
    }
}

#[test]
fn the_same_seed_measures_the_same() {
    for row in ROWS.iter().step_by(5) {
        assert_eq!(measure_one(row, 3), measure_one(row, 3), "{}", row.name);
    }
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let names: BTreeSet<&str> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), ROWS.len());
}
