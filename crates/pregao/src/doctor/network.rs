//! Checks of the network of clusters: the subnets in which EMR may start one, and their route to S3.
//!
//! A cluster reads its job and raw files from S3 and the instances report to EMR. In a public subnet (a route to an internet
//! gateway) they need public addresses; in a private one a NAT, or an endpoint of S3.
//! <https://docs.aws.amazon.com/emr/latest/ManagementGuide/emr-clusters-in-a-vpc.html>

use std::collections::BTreeSet;

use serde::Deserialize;

use super::Check;
use super::api::{Api, ApiError, Service};

pub(super) const NAME: &str = "network";

/// A list in a response of EC2.
#[derive(Debug, Deserialize)]
struct Set<T> {
    #[serde(rename = "item", default = "Vec::new")]
    items: Vec<T>,
}

impl<T> Default for Set<T> {
    fn default() -> Self {
        Set { items: Vec::new() }
    }
}

#[derive(Debug, Deserialize)]
struct Vpcs {
    #[serde(rename = "vpcSet", default)]
    vpcs: Set<Vpc>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Vpc {
    vpc_id: String,
}

#[derive(Debug, Deserialize)]
struct Subnets {
    #[serde(rename = "subnetSet", default)]
    subnets: Set<Subnet>,
}

/// A subnet.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Subnet {
    subnet_id: String,
    vpc_id: String,
    #[serde(default)]
    available_ip_address_count: u32,
    #[serde(default)]
    map_public_ip_on_launch: bool,
}

#[derive(Debug, Deserialize)]
struct RouteTables {
    #[serde(rename = "routeTableSet", default)]
    tables: Set<RouteTable>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RouteTable {
    route_table_id: String,
    #[serde(default)]
    association_set: Set<Association>,
    #[serde(default)]
    route_set: Set<Route>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Association {
    #[serde(default)]
    main: bool,
    #[serde(default)]
    subnet_id: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Route {
    #[serde(default)]
    destination_cidr_block: Option<String>,
    #[serde(default)]
    gateway_id: Option<String>,
    /// `blackhole` if the target was deleted.
    #[serde(default)]
    state: Option<String>,
}

#[derive(Debug, Deserialize)]
struct VpcEndpoints {
    #[serde(rename = "vpcEndpointSet", default)]
    endpoints: Set<VpcEndpoint>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct VpcEndpoint {
    #[serde(default)]
    vpc_endpoint_type: Option<String>,
    #[serde(default)]
    route_table_id_set: Set<String>,
    #[serde(default)]
    private_dns_enabled: bool,
}

/// Checks the configured subnets, or those of the default VPC, for a cluster of this many nodes.
pub(super) async fn check(api: &Api, region: &str, subnet_ids: &[String], nodes: u32) -> Check {
    match examine(api, region, subnet_ids, nodes).await {
        Ok(check) => check,
        Err(error) if error.code().starts_with("InvalidSubnetID") => {
            Check::failed(NAME, error.to_string(), "set emr.subnet_ids to subnets of this account and region")
        }
        Err(error) => Check::unknown(
            NAME,
            error.to_string(),
            "permit ec2:DescribeVpcs, DescribeSubnets, DescribeRouteTables and DescribeVpcEndpoints",
        ),
    }
}

async fn examine(api: &Api, region: &str, subnet_ids: &[String], nodes: u32) -> Result<Check, ApiError> {
    let subnets = if subnet_ids.is_empty() {
        let vpcs: Vpcs = api.query(Service::Ec2, "DescribeVpcs", &filter("isDefault", "true")).await?;
        let Some(vpc) = vpcs.vpcs.items.into_iter().next() else {
            let remedy = "set emr.subnet_ids to subnets of another VPC, or aws ec2 create-default-vpc";
            return Ok(Check::failed(
                NAME,
                format!("{region} has no default VPC, and emr.subnet_ids is empty"),
                remedy,
            ));
        };
        let found: Subnets = api.query(Service::Ec2, "DescribeSubnets", &filter("vpc-id", &vpc.vpc_id)).await?;
        if found.subnets.items.is_empty() {
            let remedy = "set emr.subnet_ids, or aws ec2 create-default-subnet --availability-zone ZONE";
            return Ok(Check::failed(NAME, format!("the default VPC {} has no subnets", vpc.vpc_id), remedy));
        }
        found.subnets.items
    } else {
        let ids = subnet_ids.iter().zip(1..).map(|(id, number)| (format!("SubnetId.{number}"), id.clone()));
        let found: Subnets = api.query(Service::Ec2, "DescribeSubnets", &ids.collect::<Vec<_>>()).await?;
        found.subnets.items
    };
    let vpcs: BTreeSet<&str> = subnets.iter().map(|subnet| subnet.vpc_id.as_str()).collect();
    let Some(vpc) = vpcs.first().filter(|_| vpcs.len() == 1) else {
        let found = format!("emr.subnet_ids are of {} VPCs: {}", vpcs.len(), Vec::from_iter(vpcs).join(", "));
        return Ok(Check::failed(NAME, found, "set emr.subnet_ids to subnets of one VPC"));
    };
    let tables: RouteTables = api.query(Service::Ec2, "DescribeRouteTables", &filter("vpc-id", vpc)).await?;
    let mut of_s3 = filter("vpc-id", vpc);
    of_s3.extend(numbered_filter(2, "service-name", &format!("com.amazonaws.{region}.s3")));
    let endpoints: VpcEndpoints = api.query(Service::Ec2, "DescribeVpcEndpoints", &of_s3).await?;
    Ok(judge(&subnets, &tables.tables.items, &endpoints.endpoints.items, nodes))
}

fn filter(name: &str, value: &str) -> Vec<(String, String)> {
    numbered_filter(1, name, value)
}

fn numbered_filter(number: u32, name: &str, value: &str) -> Vec<(String, String)> {
    vec![(format!("Filter.{number}.Name"), name.to_owned()), (format!("Filter.{number}.Value.1"), value.to_owned())]
}

/// Compares the subnets with what a cluster needs. EMR may choose any of them, so each has to do.
fn judge(subnets: &[Subnet], tables: &[RouteTable], endpoints: &[VpcEndpoint], nodes: u32) -> Check {
    let mut faults = Vec::new();
    let mut ways = BTreeSet::new();
    for subnet in subnets {
        match way_to_s3(subnet, tables, endpoints) {
            Ok(way) => _ = ways.insert(way),
            Err(fault) => faults.push(format!("{} {fault}", subnet.subnet_id)),
        }
    }
    if !faults.is_empty() {
        let remedy =
            "add a gateway endpoint of S3 or a NAT to its route table, or leave the subnet out of emr.subnet_ids";
        return Check::failed(NAME, faults.join("; "), remedy);
    }
    let largest = subnets.iter().map(|subnet| subnet.available_ip_address_count).max().unwrap_or_default();
    if largest < nodes {
        let found = format!("no subnet has the {nodes} free addresses of a cluster: {largest} at most");
        return Check::failed(NAME, found, "set emr.subnet_ids to larger subnets");
    }
    let ids: Vec<&str> = subnets.iter().map(|subnet| subnet.subnet_id.as_str()).collect();
    Check::ok(NAME, format!("{} reach S3 by {}", ids.join(", "), Vec::from_iter(ways).join(" and ")))
}

/// Returns how a subnet reaches S3, or why it does not.
fn way_to_s3(subnet: &Subnet, tables: &[RouteTable], endpoints: &[VpcEndpoint]) -> Result<&'static str, &'static str> {
    let is_of_subnet = |association: &Association| association.subnet_id.as_ref() == Some(&subnet.subnet_id);
    let table_with = |wanted: &dyn Fn(&Association) -> bool| {
        tables.iter().find(|table| table.association_set.items.iter().any(wanted))
    };
    // A subnet without a route table of its own has the main one of its VPC.
    let table = table_with(&is_of_subnet).or_else(|| table_with(&|association| association.main));
    let table = table.ok_or("has no route table")?;
    let is_interface = |endpoint: &VpcEndpoint| endpoint.vpc_endpoint_type.as_deref() == Some("Interface");
    let reaches = |endpoint: &VpcEndpoint| {
        if is_interface(endpoint) {
            endpoint.private_dns_enabled
        } else {
            endpoint.route_table_id_set.items.contains(&table.route_table_id)
        }
    };
    if endpoints.iter().any(reaches) {
        return Ok("an endpoint of S3");
    }
    let default = table.route_set.items.iter().find(|route| {
        route.destination_cidr_block.as_deref() == Some("0.0.0.0/0") && route.state.as_deref() != Some("blackhole")
    });
    match default.ok_or("has no route to S3: neither a default route nor an endpoint")?.gateway_id.as_deref() {
        Some(gateway) if gateway.starts_with("igw-") && subnet.map_public_ip_on_launch => Ok("an internet gateway"),
        Some(gateway) if gateway.starts_with("igw-") => {
            Err("has a route to the internet gateway, and its instances get no public addresses")
        }
        _ => Ok("a NAT or another gateway"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::CheckResult;

    const MAIN: &str = "<associationSet><item><main>true</main></item></associationSet>";

    fn subnets(addresses: u32, is_public: bool) -> Vec<Subnet> {
        let xml = format!(
            "<R><requestId>1</requestId><subnetSet><item><subnetId>subnet-1</subnetId><state>available</state>\
             <vpcId>vpc-1</vpcId><availableIpAddressCount>{addresses}</availableIpAddressCount>\
             <mapPublicIpOnLaunch>{is_public}</mapPublicIpOnLaunch></item></subnetSet></R>"
        );
        quick_xml::de::from_str::<Subnets>(&xml).expect("subnets").subnets.items
    }

    fn tables(route: &str) -> Vec<RouteTable> {
        let local = "<item><destinationCidrBlock>10.0.0.0/16</destinationCidrBlock><gatewayId>local</gatewayId></item>";
        let xml = format!(
            "<R><routeTableSet><item><routeTableId>rtb-1</routeTableId><vpcId>vpc-1</vpcId>\
             <routeSet>{local}{route}</routeSet>{MAIN}<tagSet/></item></routeTableSet></R>"
        );
        quick_xml::de::from_str::<RouteTables>(&xml).expect("route tables").tables.items
    }

    fn endpoints(item: &str) -> Vec<VpcEndpoint> {
        let xml = format!("<R><vpcEndpointSet>{item}</vpcEndpointSet></R>");
        quick_xml::de::from_str::<VpcEndpoints>(&xml).expect("endpoints").endpoints.items
    }

    fn default(target: &str) -> String {
        format!("<item><destinationCidrBlock>0.0.0.0/0</destinationCidrBlock>{target}</item>")
    }

    #[test]
    fn a_subnet_needs_a_route_to_s3() {
        let igw = default("<gatewayId>igw-1</gatewayId><state>active</state>");
        let nat = default("<natGatewayId>nat-1</natGatewayId><state>active</state>");
        let gone = default("<natGatewayId>nat-1</natGatewayId><state>blackhole</state>");
        let gateway = "<item><vpcEndpointType>Gateway</vpcEndpointType>\
                       <routeTableIdSet><item>rtb-1</item></routeTableIdSet></item>";
        let of_another_table = gateway.replace("rtb-1", "rtb-2");
        let interface =
            "<item><vpcEndpointType>Interface</vpcEndpointType><privateDnsEnabled>true</privateDnsEnabled></item>";
        for (route, endpoint, is_public, result) in [
            (igw.as_str(), "", true, CheckResult::Ok),
            (igw.as_str(), "", false, CheckResult::Failed),
            (nat.as_str(), "", false, CheckResult::Ok),
            (gone.as_str(), "", false, CheckResult::Failed),
            ("", "", false, CheckResult::Failed),
            ("", gateway, false, CheckResult::Ok),
            ("", of_another_table.as_str(), false, CheckResult::Failed),
            ("", interface, false, CheckResult::Ok),
        ] {
            let check = judge(&subnets(250, is_public), &tables(route), &endpoints(endpoint), 2);
            assert_eq!(check.result, result, "{route} {endpoint} {}", check.found);
        }
    }

    #[test]
    fn a_cluster_needs_addresses() {
        let nat = default("<natGatewayId>nat-1</natGatewayId>");
        let check = judge(&subnets(11, false), &tables(&nat), &[], 13);
        assert_eq!(check.result, CheckResult::Failed);
        assert!(check.found.contains("13 free addresses"), "{}", check.found);
    }
}
