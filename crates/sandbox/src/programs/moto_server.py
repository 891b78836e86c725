"""Runs moto, with machine images beside its own: those of fck-nat, which it does not know. And a group can start machines
from any version of a launch template: moto reads the user data of the first one only."""

import gc

import moto.utilities.utils as utilities
from moto import server

IMAGES = "ec2/resources/amis.json"


def fck_nat(number, version, made, architecture):
    return {
        "ami_id": f"ami-0fc4a7{number:011x}",
        "name": f"fck-nat-al2023-hvm-{version}-{made.replace('-', '')}-{architecture}-ebs",
        "owner_id": "568608671756",
        "image_location": f"568608671756/fck-nat-al2023-hvm-{version}-{architecture}",
        "description": "fck-nat NAT instance",
        "architecture": architecture,
        "creation_date": f"{made}T12:00:00.000Z",
        "root_device_type": "ebs",
        "root_device_name": "/dev/xvda",
        "virtualization_type": "hvm",
        "hypervisor": "xen",
        "image_type": "machine",
        "public": True,
        "state": "available",
    }


OURS = [
    fck_nat(1, "1.2.1", "2023-10-27", "arm64"),
    fck_nat(2, "1.2.1", "2023-10-27", "x86_64"),
    fck_nat(3, "1.3.0", "2024-01-25", "arm64"),
    fck_nat(4, "1.3.0", "2024-01-25", "x86_64"),
]

load = utilities.load_resource


def read_user_data():
    from moto.ec2.models.launch_templates import LaunchTemplateVersion
    from moto.ec2.utils import parse_user_data

    make = LaunchTemplateVersion.__init__

    def with_user_data(self, template, number, data, description):
        if isinstance(data.get("UserData"), str):
            data = {**data, "UserData": parse_user_data(data["UserData"])}
        make(self, template, number, data, description)

    LaunchTemplateVersion.__init__ = with_user_data


def with_ours(path, *rest):
    found = load(path, *rest)
    if path != IMAGES:
        return found
    read_user_data()
    return found + OURS


# moto reads them when EC2 is first asked for something, so that nothing is slower before.
utilities.load_resource = with_ours

if __name__ == "__main__":
    # Accounts only grow, so there is little garbage, and looking for it in all that there is takes longer each time.
    gc.set_threshold(100_000, 50, 100)
    server.main()
