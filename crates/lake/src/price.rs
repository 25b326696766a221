//! Unit prices of AWS, for the estimates of the command line and the metric `Cost` of the functions. They are list prices, without
//! free tiers and discounts.

use crate::config::Emr;
use crate::job_run::{DRIVER, EXECUTOR, Worker};

/// Region and date of the prices.
pub const SOURCE: &str = "us-east-1, November 2026";

/// USD per GB-second of Lambda.
pub const GB_SECOND: f64 = 0.000_016_7;

/// USD per byte that Athena scans.
pub const SCANNED_BYTE: f64 = 5.0 / 1e12;

/// Price of Spot relative to On-Demand. EMR's own price has no discount.
pub const SPOT: f64 = 1.0 / 3.0;

/// USD per hour of the disks of a node: EMR gives an xlarge node 64 GB, and a root volume of 15 GB, at 0.10 USD per GB and month.
/// For larger nodes, which get more, this is too low.
const DISKS: f64 = 79.0 * 0.10 / 730.0;

/// USD per hour of a public IPv4 address, which each node has in a public subnet.
const ADDRESS: f64 = 0.005;

/// USD per hour of what a node costs besides EC2 and EMR.
pub const DISKS_AND_ADDRESS: f64 = DISKS + ADDRESS;

/// An EC2 instance type as a node of a cluster.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// The type: `m5.xlarge`.
    pub name: &'static str,
    /// USD per hour of Linux On-Demand.
    pub ec2: f64,
    /// USD per hour of EMR.
    pub fee: f64,
    /// The number of virtual CPUs.
    pub processors: u32,
}

const fn node_of(name: &'static str, ec2: f64, fee: f64, processors: u32) -> Node {
    Node { name, ec2, fee, processors }
}

const NODES: [Node; 6] = [
    node_of("m5.xlarge", 0.192, 0.048, 4),
    node_of("m5a.xlarge", 0.172, 0.043, 4),
    node_of("m6i.xlarge", 0.192, 0.048, 4),
    node_of("m6a.xlarge", 0.1728, 0.0432, 4),
    node_of("r6i.4xlarge", 1.008, 0.252, 16),
    node_of("r6a.4xlarge", 0.9072, 0.2268, 16),
];

/// USD per hour of a virtual CPU of EMR Serverless, on x86.
pub const SERVERLESS_PROCESSOR: f64 = 0.052_624;

/// USD per hour of a GB of memory of EMR Serverless, on x86.
pub const SERVERLESS_GIGABYTE: f64 = 0.005_778_5;

/// Returns the USD of a job run of EMR Serverless that used these hours of virtual CPUs and of GB of memory.
pub fn job_run(processor_hours: f64, gigabyte_hours: f64) -> f64 {
    processor_hours * SERVERLESS_PROCESSOR + gigabyte_hours * SERVERLESS_GIGABYTE
}

/// Returns the USD per hour of a job run with a driver and all its executors.
pub fn job_run_hour(emr: &Emr) -> f64 {
    let executors = f64::from(emr.core_instances.get());
    let sum = |of: fn(Worker) -> u32| f64::from(of(DRIVER)) + executors * f64::from(of(EXECUTOR));
    job_run(sum(|worker| worker.processors), sum(|worker| worker.gigabytes))
}

/// Returns the node of an instance type; `None` if its price is not known.
pub fn node(ty: &str) -> Option<&'static Node> {
    NODES.iter().find(|node| node.name == ty)
}

/// Returns the most expensive of the types that EMR may choose: the upper bound. Of two at the same price, the first one.
/// `None` if there is no type, or the price of one is not known.
pub fn dearest_node(emr: &Emr) -> Option<&'static Node> {
    let nodes: Option<Vec<&Node>> = emr.instance_types.iter().map(|ty| node(ty)).collect();
    // `max_by` returns the last of equal ones.
    nodes?.into_iter().rev().max_by(|a, b| a.ec2.total_cmp(&b.ec2))
}

/// Returns the USD per hour of a cluster of a run: an On-Demand primary node, and core nodes. `None` where a price is not known.
pub fn cluster_hour(emr: &Emr) -> Option<f64> {
    let Node { ec2, fee, .. } = dearest_node(emr)?;
    let cores = f64::from(emr.core_instances.get());
    let core = if emr.spot { ec2 * SPOT + fee } else { ec2 + fee };
    Some(ec2 + fee + cores * core + (1.0 + cores) * DISKS_AND_ADDRESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_costs_what_its_dearest_nodes_cost() {
        let emr = |types: &[&str], spot| Emr {
            instance_types: types.iter().map(|ty| (*ty).to_owned()).collect(),
            core_instances: 2.try_into().expect("not zero"),
            spot,
            ..Emr::default()
        };
        assert_eq!(
            dearest_node(&emr(&["m5a.xlarge", "m6i.xlarge", "m5.xlarge"], true)).map(|node| node.name),
            Some("m6i.xlarge")
        );
        let hour = cluster_hour(&emr(&["m5.xlarge"], false)).expect("a price");
        assert!((hour - 3.0 * (0.24 + DISKS_AND_ADDRESS)).abs() < 1e-9, "{hour}");
        let hour = cluster_hour(&emr(&["m5.xlarge"], true)).expect("a price");
        assert!((hour - (0.24 + 2.0 * (0.064 + 0.048) + 3.0 * DISKS_AND_ADDRESS)).abs() < 1e-9, "{hour}");
        // 10 virtual CPUs and 40 GB.
        let hour = job_run_hour(&emr(&[], false));
        assert!((hour - 0.75738).abs() < 1e-9, "{hour}");
        assert_eq!(cluster_hour(&emr(&["m5.xlarge", "x9.huge"], true)), None);
        assert_eq!(cluster_hour(&emr(&[], true)), None);
    }
}
