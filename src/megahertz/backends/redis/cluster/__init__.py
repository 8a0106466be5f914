"""Redis Cluster: slots, and who has them."""

from megahertz.backends.redis.cluster.client import RedisCluster
from megahertz.backends.redis.cluster.pipeline import ClusterPipeline

__all__ = ["ClusterPipeline", "RedisCluster"]
