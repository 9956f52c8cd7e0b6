"""Shadow deployments of SageMaker models by Apache Airflow: evidence, a verdict, then promotion or rollback."""

__version__ = "0.1.0"
