#!/bin/sh
# The network of examples/network.rs with the aws CLI: looks for each thing and makes what is not there.
set -eu
aws() { command aws --output text "$@"; }
tagged() { echo "ResourceType=$1,Tags=[{Key=Name,Value=peer}]"; }
name=Name=tag:Name,Values=peer

vpc=$(aws ec2 describe-vpcs --filters "$name" --query 'Vpcs[0].VpcId')
if [ "$vpc" = None ]; then
    vpc=$(aws ec2 create-vpc --cidr-block 10.20.0.0/16 --tag-specifications "$(tagged vpc)" --query Vpc.VpcId)
    aws ec2 modify-vpc-attribute --vpc-id "$vpc" --enable-dns-support
    aws ec2 modify-vpc-attribute --vpc-id "$vpc" --enable-dns-hostnames
fi
gateway=$(aws ec2 describe-internet-gateways --filters "$name" --query 'InternetGateways[0].InternetGatewayId')
if [ "$gateway" = None ]; then
    gateway=$(aws ec2 create-internet-gateway --tag-specifications "$(tagged internet-gateway)" \
        --query InternetGateway.InternetGatewayId)
    aws ec2 attach-internet-gateway --internet-gateway-id "$gateway" --vpc-id "$vpc"
fi
table=$(aws ec2 describe-route-tables --filters "$name" --query 'RouteTables[0].RouteTableId')
if [ "$table" = None ]; then
    table=$(aws ec2 create-route-table --vpc-id "$vpc" --tag-specifications "$(tagged route-table)" \
        --query RouteTable.RouteTableId)
    aws ec2 create-route --route-table-id "$table" --destination-cidr-block 0.0.0.0/0 --gateway-id "$gateway" >/dev/null
fi
for i in 0 1; do
    zone=$(echo a b | cut -d' ' -f$((i + 1)))
    subnet=$(aws ec2 describe-subnets --query 'Subnets[0].SubnetId' \
        --filters "Name=vpc-id,Values=$vpc" "Name=cidr-block,Values=10.20.$i.0/24")
    if [ "$subnet" = None ]; then
        subnet=$(aws ec2 create-subnet --vpc-id "$vpc" --cidr-block "10.20.$i.0/24" \
            --availability-zone "us-east-1$zone" --tag-specifications "$(tagged subnet)" --query Subnet.SubnetId)
        aws ec2 modify-subnet-attribute --subnet-id "$subnet" --map-public-ip-on-launch
        aws ec2 associate-route-table --route-table-id "$table" --subnet-id "$subnet" >/dev/null
    fi
done
group=$(aws ec2 describe-security-groups --query 'SecurityGroups[0].GroupId' \
    --filters "Name=vpc-id,Values=$vpc" Name=group-name,Values=web)
if [ "$group" = None ]; then
    group=$(aws ec2 create-security-group --group-name web --description "Lets HTTPS in" --vpc-id "$vpc" --query GroupId)
    aws ec2 authorize-security-group-ingress --group-id "$group" --protocol tcp --port 443 --cidr 0.0.0.0/0 >/dev/null
fi
