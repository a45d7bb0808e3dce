"""A folder of images becomes two trained Keras models, their cards and a report."""
