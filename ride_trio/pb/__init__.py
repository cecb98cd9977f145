"""Generated from proto/ by proto/generate.py: do not edit."""

from google.protobuf.descriptor_pool import DescriptorPool

# Not protobuf's default pool: in that one our names would clash with a user's own compile of the same files.
POOL = DescriptorPool()
