"""What a TD is measured to be: MRTD from a firmware file, and event logs replayed against measurement registers."""
