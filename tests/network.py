"""The network of an account on an emulator."""

from __future__ import annotations


def add_default_route(ec2) -> str:
    """Adds a route from the default VPC to an internet gateway, as AWS creates it. Returns the route table."""
    (vpc,) = ec2.describe_vpcs(Filters=[{"Name": "isDefault", "Values": ["true"]}])["Vpcs"]
    attached = ec2.describe_internet_gateways(Filters=[{"Name": "attachment.vpc-id", "Values": [vpc["VpcId"]]}])
    gateways = [gateway["InternetGatewayId"] for gateway in attached["InternetGateways"]]
    if not gateways:
        gateways = [ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]]
        ec2.attach_internet_gateway(InternetGatewayId=gateways[0], VpcId=vpc["VpcId"])
    (table,) = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc["VpcId"]]}])["RouteTables"]
    ec2.create_route(RouteTableId=table["RouteTableId"], DestinationCidrBlock="0.0.0.0/0", GatewayId=gateways[0])
    return table["RouteTableId"]
