//! Each way to break the protocol is found, by a counterexample to the property that needs what was taken out.

use model::properties as property;
use model::protocol::Broken;
use model::report;

fn is_rejected(broken: Broken) {
    let found = report::counterexample(broken);
    println!("{found}");
    let violated: Vec<&str> = found.counterexamples.iter().map(|one| one.property).collect();
    assert!(violated.contains(&broken.property()), "the model is too weak for {}: {violated:?}", broken.name());
}

#[test]
fn the_record_is_written_without_a_condition() {
    is_rejected(Broken::PutWithoutCondition);
}

#[test]
fn a_lost_race_is_written_again() {
    is_rejected(Broken::LostRaceWritesAgain);
}

#[test]
fn the_audit_lists_first() {
    is_rejected(Broken::AuditListsFirst);
}

#[test]
fn the_audit_does_not_compare_raw_files() {
    is_rejected(Broken::RawFilesNotCompared);
}

#[test]
fn the_audit_is_not_repeated() {
    is_rejected(Broken::AuditNotRepeated);
}

#[test]
fn the_audit_notes_before_its_verdict() {
    is_rejected(Broken::ComparedBeforeVerdict);
}

#[test]
fn the_lease_is_released_without_an_answer() {
    is_rejected(Broken::ReleasedWithoutAnswer);
}

#[test]
fn a_plan_is_overwritten() {
    is_rejected(Broken::PlanOverwritten);
}

#[test]
fn attempts_share_a_folder() {
    is_rejected(Broken::AttemptsShareFolder);
}

#[test]
fn steps_share_a_folder() {
    is_rejected(Broken::StepsShareFolder);
}

#[test]
fn the_catalog_is_updated_without_a_lease() {
    is_rejected(Broken::CatalogWithoutLease);
}

#[test]
fn the_lease_is_taken_without_a_condition() {
    is_rejected(Broken::LeaseWithoutCondition);
}

#[test]
fn a_lease_never_expires() {
    is_rejected(Broken::LeaseNeverExpires);
}

#[test]
fn the_record_is_read_before_the_lease() {
    is_rejected(Broken::RecordReadBeforeLease);
}

#[test]
fn a_call_takes_effect_after_the_lease() {
    is_rejected(Broken::CatalogCallAfterLease);
}

#[test]
fn vacuum_deletes_first() {
    is_rejected(Broken::VacuumDeletesFirst);
}

#[test]
fn vacuum_lists_executions_first() {
    is_rejected(Broken::VacuumListsExecutionsFirst);
}

#[test]
fn vacuum_ignores_the_catalog() {
    is_rejected(Broken::VacuumIgnoresCatalog);
}

#[test]
fn the_retention_is_too_short() {
    is_rejected(Broken::RetentionTooShort);
}

#[test]
fn the_retention_is_counted_late() {
    is_rejected(Broken::RetentionCountedLate);
}

#[test]
fn removed_files_are_published() {
    is_rejected(Broken::PublishIgnoresRemoved);
}

#[test]
fn a_rollback_ignores_removed_files() {
    is_rejected(Broken::RollbackIgnoresRemoved);
}

#[test]
fn removed_files_are_forgotten() {
    is_rejected(Broken::RemovedForgotten);
}

#[test]
fn a_hold_is_ignored() {
    is_rejected(Broken::HeldIgnored);
}

#[test]
fn a_rollback_chooses_again() {
    is_rejected(Broken::RollbackChoosesAgain);
}

#[test]
fn a_lost_answer_is_a_lost_race() {
    is_rejected(Broken::LostAnswerIsLostRace);
}

#[test]
fn a_view_that_is_not_older_is_superseded() {
    is_rejected(Broken::DivergedIsSuperseded);
}

#[test]
fn the_history_is_written_last() {
    is_rejected(Broken::HistoryAfterRecord);
}

#[test]
fn every_broken_protocol_has_a_test() {
    let tests = include_str!("broken.rs");
    for broken in Broken::ALL {
        let call = format!("is_rejected(Broken::{});", broken.name());
        assert!(tests.contains(&call), "{call}");
    }
}

#[test]
fn every_property_needs_something() {
    let needed = [
        property::NO_REVERSAL,
        property::AUDITED,
        property::CATALOG,
        property::NOT_REMOVED,
        property::HELD,
        property::OUTCOME,
        property::HISTORY,
        property::ENDS,
    ];
    for name in property::all().iter().map(|property| property.name) {
        assert!(needed.contains(&name), "{name} is not listed here");
        assert!(Broken::ALL.iter().any(|broken| broken.property() == name), "no broken protocol violates: {name}");
    }
}
