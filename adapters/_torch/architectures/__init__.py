"""What is known of single architectures: `timm_names`, timm's names of those that others name otherwise; `swin_v2`,
torchvision's with its biases where timm has them."""
