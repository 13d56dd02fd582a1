"""The engine on a cluster: members trained by the engines of many machines, by way of Ray."""
