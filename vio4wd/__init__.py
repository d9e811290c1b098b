"""VIO4WD: relays between SR-IOV virtual functions and virtio-net devices."""
