// The network of examples/network.rs with alchemy.
import alchemy from "alchemy";
import {
  InternetGateway, InternetGatewayAttachment, Route, RouteTable, RouteTableAssociation, SecurityGroup,
  SecurityGroupRule, Subnet, Vpc,
} from "alchemy/aws/ec2";

const app = await alchemy("peer");
const vpc = await Vpc("vpc", { cidrBlock: "10.20.0.0/16", enableDnsSupport: true, enableDnsHostnames: true });
const internetGateway = await InternetGateway("gateway", {});
await InternetGatewayAttachment("attachment", { internetGateway, vpc });
const routeTable = await RouteTable("routes", { vpc });
await Route("internet", { routeTable, destinationCidrBlock: "0.0.0.0/0", target: { internetGateway } as never });
await Promise.all(["a", "b"].map(async (zone, i) => {
  const subnet = await Subnet(`subnet-${i}`, {
    vpc, cidrBlock: `10.20.${i}.0/24`, availabilityZone: `us-east-1${zone}`, mapPublicIpOnLaunch: true,
  });
  await RouteTableAssociation(`association-${i}`, { routeTable, subnet });
}));
const securityGroup = await SecurityGroup("group", { vpc, groupName: "web", description: "Lets HTTPS in" });
await SecurityGroupRule("https", {
  securityGroup, type: "ingress", protocol: "tcp", fromPort: 443, toPort: 443, cidrBlocks: ["0.0.0.0/0"],
});
await app.finalize();
