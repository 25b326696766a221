use chrono::NaiveTime;

use super::*;

const TEMPLATE: &str = include_str!("../../../../confs/pregao.template.toml");

#[test]
fn the_template_says_exactly_the_defaults() {
    assert_eq!(Config::parse(TEMPLATE).expect("the template"), Config::default());
    let written: toml::Table = toml::from_str(TEMPLATE).expect("TOML");
    assert_eq!(written, Config::default().to_table(), "every key stands in the template");
}

#[test]
fn values_may_be_left_out_and_json_will_do() {
    assert_eq!(Config::parse(""), Ok(Config::default()));
    let toml = Config::parse("[session]\nclose = \"18:00\"\n[quality]\nmax_reject_share = 1").expect("TOML");
    let json = Config::parse(r#"{"session": {"close": "18:00"}, "quality": {"max_reject_share": 1}}"#);
    assert_eq!(json.expect("JSON"), toml);
    assert_eq!(toml.session, Session { close: NaiveTime::from_hms_opt(18, 0, 0), ..Session::default() });
    assert_eq!(toml.quality.max_reject_share.get(), 1.0);
}

#[test]
fn sessions_have_dates() {
    let entries = "[session]\nclose = \"17:00\"\n[[session.hours]]\nfrom = 2020-11-03\nopen = \"10:00\"\nclose = \"18:00\"\n\
         [[session.hours]]\nfrom = \"2021-02-17\"\nto = \"2021-02-17\"\nopen = \"13:00\"\nclose = \"18:00\"";
    let config = Config::parse(entries).expect("TOML");
    let hours = |day: &str| {
        let hours = config.session.hours(day.parse().expect("a date"));
        format!("{}-{}", hours.open.format("%H:%M"), hours.close.format("%H:%M"))
    };
    for (day, told) in [("2020-11-02", "10:00-17:00"), ("2020-11-03", "10:00-18:00"), ("2021-02-17", "13:00-18:00")] {
        assert_eq!(hours(day), told, "{day}");
    }
    // As functions get it, and as one value is set beside it.
    let told = config.for_functions().to_string();
    assert_eq!(Config::parse(&told).expect("JSON").session, config.session);
    let mut set = config.clone();
    set.set("session.step_minutes", "5").expect("a key");
    assert_eq!(set.session.hours, config.session.hours);
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let cases = [
        ("[quality]\nmax_reject_shares = 1", "max_reject_shares"),
        ("[qualities]", "qualities"),
        ("[quality]\nmax_reject_share = 1.5", "1.5 is not a share"),
        ("[buckets]\nraw = \"My_Bucket\"", "cannot name a bucket"),
        ("[buckets]\nraw = \"-ab\"", "cannot name a bucket"),
        ("[athena]\ndatabase = \"x`; drop\"", "cannot name a database"),
        ("[emr]\npoll_seconds = 0", "nonzero"),
        ("[emr]\ninstance_types = []", "at least one EC2 instance type"),
        ("[emr]\nidle_minutes = 20000", "seven days"),
        ("[aws]\nstack = \"My Stack\"", "cannot name a stack"),
        ("[aws]\narchitecture = \"riscv\"", "unknown variant"),
        ("[session]\nopen = \"18:00\"", "not before"),
        ("[session]\nopen = \"6pm\"", "not a time HH:MM"),
        ("[session]\nstep_minutes = 0", "at least 1"),
        ("[[session.hours]]\nfrom = 2020-11-03\nopen = \"10:00\"", "missing field `close`"),
        ("[[session.hours]]\nfrom = \"3.11.2020\"\nopen = \"10:00\"\nclose = \"18:00\"", "not a date YYYY-MM-DD"),
        ("[[session.hours]]\nfrom = 7\nopen = \"10:00\"\nclose = \"18:00\"", "expected a date YYYY-MM-DD"),
        ("[[session.hours]]\nfrom = 2020-11-03T10:00:00\nopen = \"10:00\"\nclose = \"18:00\"", "not a date"),
        ("[[session.hours]]\nfrom = 2020-11-03\nopen = \"19:00\"\nclose = \"18:00\"", "not before"),
        (
            "[[session.hours]]\nfrom = 2020-11-03\nto = 2020-11-02\nopen = \"10:00\"\nclose = \"18:00\"",
            "before its first",
        ),
        ("[[session.hours]]\nfrom = 2020-11-03\nuntil = 2020-11-04\nopen = \"10:00\"\nclose = \"18:00\"", "until"),
        ("[ingest]\nmax_file_bytes = 6000000000", "S3 copies"),
        ("[backfill]\nparallel = 11", "backfill.parallel is over 10"),
        ("[backfill]\nparallel = 0", "nonzero"),
        ("[backfill]\nchunk_days = 251", "backfill.chunk_days is over 250"),
        ("[backfill]\nchunk_days = 0", "nonzero"),
        ("[backfill]\nchunk_bytes = 0", "nonzero"),
        ("[schedule]\nlook_back_days = 367", "look_back_days is over 366"),
        ("[schedule]\nlook_back_days = -1", "invalid value"),
        ("[quality]\nmin_snapshots = -1", "invalid value"),
        ("{\"buckets\": 1}", "invalid type"),
    ];
    for (text, expected) in cases {
        let error = Config::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

#[test]
fn one_value_is_set_by_its_key() {
    let mut config = Config::default();
    for (key, value) in [
        ("quality.max_reject_share", "1"),
        ("quality.fail_on_missing_snapshots", "true"),
        ("session.close", "18:00"),
        ("emr.cluster_id", "j-1K48XXXXXXHCB"),
        ("emr.poll_seconds", "30"),
        ("emr.instance_types", "r5.xlarge, r6i.xlarge"),
        ("aws.architecture", "arm64"),
        ("buckets.lake", "another-lake"),
    ] {
        config.set(key, value).expect(key);
    }
    assert_eq!(config.quality.max_reject_share, Share(1.0));
    assert!(config.quality.fail_on_missing_snapshots);
    assert_eq!(config.session.close, NaiveTime::from_hms_opt(18, 0, 0));
    assert_eq!(config.emr.cluster_id.as_deref(), Some("j-1K48XXXXXXHCB"));
    assert_eq!(config.emr.poll_seconds.get(), 30);
    assert_eq!(config.emr.instance_types, ["r5.xlarge", "r6i.xlarge"]);
    assert_eq!(config.aws.architecture, Architecture::Arm64);
    assert_eq!(config.buckets.lake.as_str(), "another-lake");

    config.set("emr.cluster_id", "").expect("no cluster");
    assert_eq!(config.emr.cluster_id, None);
}

#[test]
fn what_a_stack_made_is_laid_over_the_configuration() {
    let config = Config::parse("[buckets]\nraw = \"mine\"\n[emr]\nspot = true").expect("TOML");
    let resources = r#"{"buckets": {"lake": "stack-lake"}, "emr": {"service_role": "stack-emr"}}"#;
    let laid = config.with_resources(resources).expect("JSON of the same form");
    assert_eq!((laid.buckets.raw.as_str(), laid.buckets.lake.as_str()), ("mine", "stack-lake"));
    assert_eq!((laid.emr.service_role.as_str(), laid.emr.spot), ("stack-emr", true));
    for (wrong, expected) in [
        (r#"{"buckets": {"lakes": "x"}}"#, "lakes"),
        (r#"{"bucket": {"lake": "x"}}"#, "bucket"),
        (r#"{"buckets": {"lake": "X"}}"#, "cannot name a bucket"),
        (r#"{"buckets": 1}"#, "invalid type"),
        ("[1]", "invalid type"),
        ("{", "EOF"),
    ] {
        let error = config.with_resources(wrong).expect_err(wrong).to_string();
        assert!(error.contains(expected), "{wrong}: {error}");
    }
}

#[test]
fn functions_receive_what_differs() {
    assert_eq!(Config::default().for_functions(), serde_json::json!({}));
    let mut config = Config::default();
    for (key, value) in [
        ("emr.instance_types", "r5.xlarge"),
        ("quality.max_reject_share", "0.5"),
        ("aws.region", "sa-east-1"),
        ("buckets.raw", "mine"),
        ("schedule.enabled", "false"),
        ("schedule.look_back_days", "0"),
    ] {
        config.set(key, value).expect(key);
    }
    let told = config.for_functions();
    let expected = serde_json::json!({
        "emr": {"instance_types": ["r5.xlarge"]},
        "quality": {"max_reject_share": 0.5},
        "schedule": {"look_back_days": 0},
    });
    assert_eq!(told, expected);
    let read = Config::parse(&told.to_string()).expect("JSON");
    assert_eq!(read.schedule.look_back_days, 0);
    assert_eq!((read.emr, read.quality), (config.emr, config.quality));
}

#[test]
fn a_value_that_cannot_be_set_leaves_the_others() {
    let mut config = Config::default();
    for (key, value, expected) in [
        ("quality.max_rejects_share", "1", "did you mean \"quality.max_reject_share\"?"),
        ("max_reject_share", "1", "did you mean \"quality.max_reject_share\"?"),
        ("quality", "1", "did you mean"),
        ("quality.max_reject_share", "2", "quality.max_reject_share cannot be \"2\": 2 is not a share"),
        ("quality.max_reject_share", "lots", "it takes a number"),
        ("quality.fail_on_missing_snapshots", "1", "it takes true or false"),
        ("emr.core_instances", "1.5", "it takes a whole number"),
        ("session.open", "19:00", "not before"),
    ] {
        let error = config.set(key, value).expect_err(key).to_string();
        assert!(error.contains(expected), "{key}={value}: {error}");
    }
    assert_eq!(config, Config::default());
}

#[test]
fn a_day_must_have_no_more_snapshots_than_its_session() {
    let day = |text: &str| text.parse().expect("a date");
    let mut config = Config::default();
    let least = |config: &Config| {
        [day("2020-04-01"), day("2020-04-04"), day("2020-12-25")].map(|day| config.least_snapshots(day))
    };
    // A Wednesday, a Saturday and Christmas.
    assert_eq!(least(&config), [10, 0, 0]);
    config.set("session.step_minutes", "60").expect("a key");
    assert_eq!(least(&config), [7, 0, 0], "every hour from 10:00, and 17:00 is no more");
    config.set("quality.min_snapshots", "0").expect("a key");
    assert_eq!(least(&config), [0, 0, 0]);
}

#[test]
fn a_share_allows_no_more_than_itself() {
    let share = Share(0.01);
    assert!(share.allows(1, 100) && !share.allows(2, 100));
    assert!(share.allows(0, 0) && Share(1.0).allows(7, 7) && !Share(0.0).allows(1, 1000));
}
