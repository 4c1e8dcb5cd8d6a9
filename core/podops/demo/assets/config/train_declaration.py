# A character model on the Declaration of Independence and the Constitution: about a minute on one core.
max_iters = 3000
eval_interval = 500
log_interval = 10
batch_size = 16
learning_rate = 0.01
