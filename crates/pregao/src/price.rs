//! Estimates the cost of a run on AWS, as in the section "Costs" of `docs/aws.md`, for any days and configuration.

use lake::config::{Emr, EmrKind};
use lake::job_run::{DRIVER, EXECUTOR};

use crate::output::Cost;

pub(crate) use lake::price::SOURCE;
use lake::price::{
    DISKS_AND_ADDRESS, GB_SECOND, Node, SCANNED_BYTE, SERVERLESS_GIGABYTE, SERVERLESS_PROCESSOR, cluster_hour,
    dearest_node, job_run_hour, node,
};

/// Minutes that a cluster runs for one day of real size, from start to termination.
const MINUTES_OF_A_DAY: f64 = 12.0;

/// Minutes that a job run of EMR Serverless is billed for such a day, and the minute before it in which its machines start.
const BILLED_MINUTES_OF_A_DAY: f64 = 3.5;
const MINUTES_TO_START: f64 = 1.0;

/// Size of the raw files of a real day in bytes.
const BYTES_OF_A_DAY: u64 = 34_000_000;

/// Bytes per second that one CPU of a core node processes: Spark SQL 3.5 on two cores took 51.79 s for 202 MB
/// (`bench/results`).
const BYTES_A_SECOND: f64 = 202e6 / 51.79 / 2.0;

/// USD per state transition of Step Functions, and transitions per run, most of which are polls of the step.
const TRANSITION: f64 = 0.025 / 1_000.0;
const TRANSITIONS: u64 = 160;

/// GB-seconds of Lambda of a run of one day: 90 short invocations, and the audit.
const GB_SECONDS_OF_A_RUN: f64 = 90.0 * 0.25 * 0.2;
const GB_SECONDS_OF_A_DAY: f64 = 60.0 * 1.7;

/// Bytes that Athena scans for a run of one day: 20 statements of 10 MB.
const SCANNED_OF_A_DAY: f64 = 20.0 * 10e6;

/// USD per PUT or LIST request, and such requests per day of a run.
const REQUEST: f64 = 0.005 / 1_000.0;
const REQUESTS_OF_A_DAY: u64 = 100;

/// Bytes per second, as stored, that the function transform converts with 1,769 MB, which is one virtual CPU. It converts
/// 170 MB in a second of CPU time (`docs/scale.md`); the rest is the time of S3, which this rate assumes to be long.
const TRANSFORMED_A_SECOND: f64 = 50e6;
const TRANSFORM_GB: f64 = 1.769;

/// State transitions of a run without polls. Each day adds one.
const TRANSITIONS_WITHOUT_STEP: u64 = 20;

/// Days that the function transform converts at once: `MaxConcurrency` of `TransformDays`.
const DAYS_AT_ONCE: f64 = 10.0;

/// Rounds an estimate to millionths of a USD, for documents.
pub(crate) fn rounded(usd: f64) -> f64 {
    (usd * 1e6).round() / 1e6
}

/// Estimates the costs of a run of `days` days with `bytes` of raw files by Spark on EMR, by service.
pub(crate) fn of_emr(emr: &Emr, days: u64, bytes: u64) -> Vec<Cost> {
    let spark = match emr.kind {
        EmrKind::Ec2 => cluster(emr, bytes),
        EmrKind::Serverless => job_run(emr, bytes),
    };
    let mut costs = vec![spark];
    costs.extend(of_services(days, TRANSITIONS, 0.0));
    costs
}

/// Estimates the costs of a run of `days` days with `bytes` of raw files by the function transform, by service.
pub(crate) fn of_lambda(days: u64, bytes: u64) -> Vec<Cost> {
    let seconds = bytes as f64 / TRANSFORMED_A_SECOND;
    of_services(days, TRANSITIONS_WITHOUT_STEP + days, seconds * TRANSFORM_GB)
}

/// State transitions of an upload of one file by the rule of the stack, and the GB-seconds of its functions.
const TRANSITIONS_OF_A_FILE: f64 = 4.0;
const GB_SECONDS_OF_A_FILE: f64 = 0.5;

/// PUT and COPY requests of an upload of one file.
const REQUESTS_OF_A_FILE: f64 = 3.0;

/// Estimates the cost in USD of uploading and ingesting `files` files.
pub(crate) fn of_upload(files: u64) -> f64 {
    let of_a_file =
        TRANSITIONS_OF_A_FILE * TRANSITION + GB_SECONDS_OF_A_FILE * GB_SECOND + REQUESTS_OF_A_FILE * REQUEST;
    files as f64 * of_a_file
}

/// Returns the sum of costs in USD; `None` if one is not known.
pub(crate) fn total(costs: &[Cost]) -> Option<f64> {
    costs.iter().map(|cost| cost.usd).sum()
}

/// Estimates how long Spark on EMR takes, in seconds, from the start of its machines to their end. Returns `None` where the rate of
/// the nodes is not known.
pub(crate) fn seconds_of_emr(emr: &Emr, bytes: u64) -> Option<f64> {
    if emr.kind == EmrKind::Serverless {
        return Some(60.0 * (MINUTES_TO_START + billed_minutes(emr, bytes)));
    }
    let known = emr.cluster_id.is_none() && emr.instance_types.iter().all(|ty| node(ty).is_some());
    let slowest = emr.instance_types.iter().filter_map(|ty| node(ty)).map(|node| node.processors).min()?;
    known.then(|| 60.0 * minutes(emr, slowest, bytes))
}

/// Estimates how long the function transform takes for days of about the same size, in seconds.
pub(crate) fn seconds_of_lambda(days: u64, bytes: u64) -> f64 {
    let rounds = (days as f64 / DAYS_AT_ONCE).ceil();
    bytes as f64 / days.max(1) as f64 / TRANSFORMED_A_SECOND * rounds
}

/// Estimates the costs of everything but a cluster. `transform` is the GB-seconds of the function transform.
fn of_services(days: u64, transitions: u64, transform: f64) -> Vec<Cost> {
    let by_day = days as f64;
    let seconds = GB_SECONDS_OF_A_RUN + GB_SECONDS_OF_A_DAY * by_day + transform;
    let scanned = SCANNED_OF_A_DAY * by_day;
    let requests = REQUESTS_OF_A_DAY * days;
    vec![
        Cost {
            service: "Step Functions".to_owned(),
            arithmetic: format!("about {transitions} transitions x 0.025 per 1,000"),
            usd: Some(transitions as f64 * TRANSITION),
        },
        Cost {
            service: "Lambda".to_owned(),
            arithmetic: format!("about {seconds:.0} GB-s x {GB_SECOND}"),
            usd: Some(seconds * GB_SECOND),
        },
        Cost {
            service: "S3 requests".to_owned(),
            arithmetic: format!("about {requests} x 0.005 per 1,000"),
            usd: Some(requests as f64 * REQUEST),
        },
        Cost {
            service: "Athena".to_owned(),
            arithmetic: format!("about {:.2} GB x 5 per TB", scanned / 1e9),
            usd: Some(scanned * SCANNED_BYTE),
        },
    ]
}

/// Estimates how many minutes a cluster runs whose core nodes have this many CPUs each.
fn minutes(emr: &Emr, processors: u32, bytes: u64) -> f64 {
    MINUTES_OF_A_DAY + more_minutes(emr, processors, bytes)
}

/// Estimates for how many minutes the machines of a job run are billed.
fn billed_minutes(emr: &Emr, bytes: u64) -> f64 {
    BILLED_MINUTES_OF_A_DAY + more_minutes(emr, EXECUTOR.processors, bytes)
}

/// Estimates how many minutes more than a day of real size these bytes take, on nodes or executors with this many CPUs each.
fn more_minutes(emr: &Emr, processors: u32, bytes: u64) -> f64 {
    let rate = f64::from(emr.core_instances.get()) * f64::from(processors) * BYTES_A_SECOND;
    bytes.saturating_sub(BYTES_OF_A_DAY) as f64 / rate / 60.0
}

fn job_run(emr: &Emr, bytes: u64) -> Cost {
    let (minutes, executors) = (billed_minutes(emr, bytes), u32::from(emr.core_instances.get()));
    let processors = DRIVER.processors + executors * EXECUTOR.processors;
    let gigabytes = DRIVER.gigabytes + executors * EXECUTOR.gigabytes;
    let arithmetic = format!(
        "{minutes:.1} minutes x ({processors} vCPU x {SERVERLESS_PROCESSOR} + {gigabytes} GB x {SERVERLESS_GIGABYTE}) per hour"
    );
    Cost { service: "EMR Serverless".to_owned(), arithmetic, usd: Some(minutes / 60.0 * job_run_hour(emr)) }
}

fn cluster(emr: &Emr, bytes: u64) -> Cost {
    let service = "EMR".to_owned();
    if let Some(id) = &emr.cluster_id {
        let arithmetic = format!("nothing more: {id} is there for all runs");
        return Cost { service, arithmetic, usd: Some(0.0) };
    }
    // EMR may choose any of the types, so an upper bound needs the price of each.
    if let Some(unknown) = emr.instance_types.iter().find(|ty| node(ty).is_none()) {
        let arithmetic = format!("no price is known of {unknown}");
        return Cost { service, arithmetic, usd: None };
    }
    let (Some(Node { name, ec2, fee, processors }), Some(hour)) = (dearest_node(emr), cluster_hour(emr)) else {
        return Cost { service, arithmetic: "emr.instance_types is empty".to_owned(), usd: None };
    };
    let cores = f64::from(emr.core_instances.get());
    let nodes = cores + 1.0;
    let minutes = minutes(emr, *processors, bytes);
    let usd = minutes / 60.0 * hour;
    let arithmetic = if emr.spot {
        format!(
            "{minutes:.0} minutes x (1 x ({ec2} {name} + {fee} EMR) + {cores} x ({ec2} / 3 Spot + {fee} EMR) + \
             {nodes} x {DISKS_AND_ADDRESS:.3} disks and address) per hour"
        )
    } else {
        format!(
            "{nodes} nodes x {minutes:.0} minutes x ({ec2} {name} + {fee} EMR + {DISKS_AND_ADDRESS:.3} disks and address) per hour"
        )
    };
    Cost { service, arithmetic, usd: Some(usd) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(emr: &Emr, days: u64, bytes: u64) -> Option<f64> {
        of_emr(emr, days, bytes).iter().map(|cost| cost.usd).sum()
    }

    #[test]
    fn a_day_costs_what_the_documentation_says() {
        let costs = of_emr(&Emr::default(), 1, BYTES_OF_A_DAY);
        let rounded = |at: usize| (costs[at].usd.expect("a price") * 1e3).round() / 1e3;
        assert_eq!(
            costs[0].arithmetic,
            "2 nodes x 12 minutes x (0.192 m5.xlarge + 0.048 EMR + 0.016 disks and address) per hour"
        );
        assert_eq!((0..5).map(rounded).collect::<Vec<_>>(), [0.102, 0.004, 0.002, 0.001, 0.001]);
    }

    #[test]
    fn a_day_of_emr_serverless_costs_a_quarter() {
        let emr = Emr { kind: EmrKind::Serverless, ..Emr::default() };
        let job = of_emr(&emr, 1, BYTES_OF_A_DAY).remove(0);
        assert_eq!(job.arithmetic, "3.5 minutes x (6 vCPU x 0.052624 + 24 GB x 0.0057785) per hour");
        assert_eq!((job.usd.expect("a price") * 1e4).round().to_bits(), 265.0_f64.to_bits());
        assert_eq!(seconds_of_emr(&emr, BYTES_OF_A_DAY).map(f64::to_bits), Some(270.0_f64.to_bits()));
    }

    #[test]
    fn more_data_costs_more_and_spot_costs_less() {
        let day = usd(&Emr::default(), 1, BYTES_OF_A_DAY).expect("a price");
        let year = usd(&Emr::default(), 250, 250 * BYTES_OF_A_DAY).expect("a price");
        assert!(year > 3.0 * day && year < 250.0 * day, "{day} {year}");
        let spot = Emr { spot: true, ..Emr::default() };
        assert!(usd(&spot, 1, BYTES_OF_A_DAY).expect("a price") < day);
    }

    #[test]
    fn a_day_by_lambda_costs_a_tenth() {
        let sum = |costs: Vec<Cost>| costs.iter().map(|cost| cost.usd.expect("a price")).sum::<f64>();
        let (lambda, emr) = (sum(of_lambda(1, BYTES_OF_A_DAY)), sum(of_emr(&Emr::default(), 1, BYTES_OF_A_DAY)));
        assert!(lambda * 10.0 < emr, "{lambda} {emr}");
    }

    #[test]
    fn ten_days_by_lambda_take_as_long_as_one() {
        assert_eq!(seconds_of_lambda(1, 50_000_000).to_bits(), 1.0_f64.to_bits());
        assert_eq!(seconds_of_lambda(10, 500_000_000).to_bits(), 1.0_f64.to_bits());
        assert_eq!(seconds_of_lambda(11, 550_000_000).to_bits(), 2.0_f64.to_bits());
        assert_eq!(seconds_of_emr(&Emr::default(), BYTES_OF_A_DAY).map(f64::to_bits), Some(720.0_f64.to_bits()));
        let standing = Emr { cluster_id: Some("j-1".to_owned()), ..Emr::default() };
        assert_eq!(seconds_of_emr(&standing, 1), None);
    }

    #[test]
    fn what_is_not_known_is_said_to_be() {
        let unknown = Emr { instance_types: vec!["x9.metal".to_owned()], ..Emr::default() };
        assert_eq!(usd(&unknown, 1, 1), None);
        let mixed = Emr { instance_types: vec!["m5.xlarge".to_owned(), "x9.metal".to_owned()], ..Emr::default() };
        assert_eq!(usd(&mixed, 1, 1), None);
        let standing = Emr { cluster_id: Some("j-1".to_owned()), ..unknown };
        assert!(usd(&standing, 1, 1).expect("a price") < 0.01);
    }
}
